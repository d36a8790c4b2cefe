import { sha256Digest } from '../../crypto/digest.ts';
import type { WatchedSource } from '../../trust/watched.ts';
import { normalSerial } from '../serials.ts';
import { RevocationInvalid } from './errors.ts';

/** Hex, with or without colons (RFC 5280 §4.1.2.2: 20 octets, one of zeros before them). */
const SERIAL = /^(?:[0-9A-F]{2}(?::[0-9A-F]{2}){0,20}|[0-9A-F]{1,42})$/i;
const MAX_LINES = 1_000_000;

export interface SerialsSource {
  readonly source: WatchedSource;
  /** Whether the file has the serial, as `normalSerial` spells it. */
  has(serial: string): boolean;
}

/** Serial numbers in a file, one a line; empty lines and what follows a # do not count. */
export function createSerialsSource(file: string): SerialsSource {
  let serials: ReadonlySet<string> = new Set();
  const source: WatchedSource = {
    name: 'revoked_serials',
    paths: [file],
    load: async (contents) => {
      const bytes = contents.get(file) ?? Buffer.alloc(0);
      const next = parseSerials(bytes.toString('utf8'));
      return {
        apply: () => {
          serials = next;
        },
        ends: ['CERTIFICATE_REVOKED'],
        events: (closedConnections) => [
          {
            type: 'revocations.applied',
            payload: { digest: sha256Digest(bytes), source: 'serials', entries: next.size, closedConnections },
          },
        ],
      };
    },
  };
  return { source, has: (serial) => serials.has(serial) };
}

/** Throws RevocationInvalid for a line that is none: it was meant to revoke something. */
export function parseSerials(text: string): ReadonlySet<string> {
  const lines = text.split(/\r?\n/);
  if (lines.length > MAX_LINES) throw new RevocationInvalid('the list of serial numbers is too long');
  const serials = new Set<string>();
  for (const [index, line] of lines.entries()) {
    const serial = line.replace(/#.*$/, '').trim();
    if (serial === '') continue;
    if (!SERIAL.test(serial)) throw new RevocationInvalid(`line ${index + 1} of the list is no serial number in hex`);
    serials.add(normalSerial(serial));
  }
  return serials;
}
