import { X509Certificate } from 'node:crypto';
import type { Server } from 'node:tls';

import type { Clock } from '../../../clock.ts';
import { type Answered, type Ask, responderOf } from './responder.ts';

/** ms that a handshake waits for an answer that is not there yet. */
const HANDSHAKE_LIMIT = 1_000;
const ASK_LIMIT = 5_000;
/** ms after which a responder that said nothing is asked again. */
const PAUSE = 10_000;
const REFRESH_AT = 0.5;

interface Kept {
  answer: Answered | undefined;
  askAt: number;
  asking: Promise<void> | undefined;
}

export interface StaplerOptions {
  readonly ask: Ask;
  readonly clock: Clock;
  readonly failed: (error: unknown) => void;
}

/** Hands clients that ask for it what the responder says of the server's own certificate (RFC 6066 §8). Never fails a handshake. */
export function createStapler({ ask, clock, failed }: StaplerOptions): (server: Pick<Server, 'on'>) => void {
  // One certificate at a time, and the one before while handshakes with it are under way.
  const kept = new Map<string, Kept>();

  async function refresh(certificate: X509Certificate, issuer: X509Certificate, entry: Kept): Promise<void> {
    try {
      const answer = await ask(certificate, issuer, ASK_LIMIT);
      const now = clock();
      entry.answer = answer;
      entry.askAt = now + (answer.until - now) * REFRESH_AT;
    } catch (error) {
      failed(error);
      entry.askAt = clock() + PAUSE;
    }
  }

  async function stapleFor(certificate: X509Certificate, issuer: X509Certificate): Promise<Buffer | null> {
    const key = certificate.fingerprint256;
    const entry = kept.get(key) ?? { answer: undefined, askAt: 0, asking: undefined };
    if (!kept.has(key) && kept.size > 1) kept.clear();
    kept.set(key, entry);
    if (clock() >= entry.askAt) {
      entry.asking ??= refresh(certificate, issuer, entry).finally(() => {
        entry.asking = undefined;
      });
      if (entry.answer === undefined) await within(HANDSHAKE_LIMIT, entry.asking);
    }
    const { answer } = entry;
    return answer !== undefined && clock() < answer.until ? Buffer.from(answer.der) : null;
  }

  return (server) => {
    server.on(
      'OCSPRequest',
      (der: Buffer, issuerDer: Buffer, callback: (error: null, staple: Buffer | null) => void) => {
        const certificate = new X509Certificate(der);
        // Without its issuer nobody can ask, and without a responder there is nobody to ask.
        if (responderOf(certificate) === undefined || !Buffer.isBuffer(issuerDer)) return callback(null, null);
        stapleFor(certificate, new X509Certificate(issuerDer)).then(
          (staple) => callback(null, staple),
          (error: unknown) => {
            failed(error);
            callback(null, null);
          },
        );
        return undefined;
      },
    );
  };
}

async function within(limitMs: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, limitMs);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
