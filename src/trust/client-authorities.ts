import { createSecureContext } from 'node:tls';

import type { Clock } from '../clock.ts';
import { sha256Digest } from '../crypto/digest.ts';
import { parseTrustBundle, type TrustBundle } from '../identity/trust-bundle.ts';
import type { WatchedSource } from './watched.ts';

export interface ClientAuthorities {
  readonly source: WatchedSource;
  /** Throws before the first load. */
  current(): TrustBundle;
}

/** The authorities that client certificates must come from. `changed` is called in the turn in which others are in force. */
export function createClientAuthorities(options: {
  readonly file: string;
  readonly clock: Clock;
  readonly changed: () => void;
}): ClientAuthorities {
  const { file, clock, changed } = options;
  let inForce: TrustBundle | undefined;

  const source: WatchedSource = {
    name: 'client_ca',
    paths: [file],
    load: async (contents) => {
      const bytes = contents.get(file) ?? Buffer.alloc(0);
      const next = parseTrustBundle(bytes.toString('utf8'));
      createSecureContext({ ca: next.pem });
      return {
        apply: () => {
          inForce = next;
          changed();
        },
        ends: ['NOT_TRUSTED'],
        events: (closedConnections) => [
          {
            type: 'trust.bundle.applied',
            payload: { digest: sha256Digest(bytes), authorities: next.authorities.length, closedConnections },
          },
        ],
      };
    },
    // An authority that has ended beside one that has not turns its own clients away and no others.
    endings: () => (inForce === undefined ? [] : [{ certificate: 'client_ca', notAfter: inForce.endsAfter(clock()) }]),
  };

  return {
    source,
    current: () => {
      if (inForce === undefined) throw new Error('the client authorities are not loaded');
      return inForce;
    },
  };
}
