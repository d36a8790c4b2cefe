import type { X509Certificate } from 'node:crypto';

import type { Clock } from '../../../clock.ts';
import { Unauthenticated } from '../../errors.ts';
import type { Answered, Ask } from './responder.ts';

/** ms that a request waits for the responder. */
const ASK_LIMIT = 2_000;
/** ms that an answer counts at most, whatever it says itself. */
const MAX_AGE = 3_600_000;
/** ms after which a responder that said nothing is asked again. */
const PAUSE = 1_000;
/** Of the life of an answer, after which the next one is fetched while it still counts. */
const REFRESH_AT = 0.5;
/** Certificates whose answers are kept. */
const MAX_KEPT = 10_000;

export interface OcspStatus {
  /**
   * Nothing where the certificate is known to be good; a promise where the responder is asked first. Throws, or rejects with,
   * Unauthenticated where it is revoked or where nobody says that it is not.
   */
  confirm(certificate: X509Certificate): Promise<void> | undefined;
  /** True for a certificate that is known to be revoked. Asks nobody. */
  isRevoked(certificate: X509Certificate): boolean;
}

export interface OcspStatusOptions {
  readonly ask: Ask;
  /** Undefined where nobody in force has issued it. */
  readonly issuerOf: (certificate: X509Certificate) => X509Certificate | undefined;
  readonly clock: Clock;
  /** A certificate that was good is revoked. */
  readonly revoked: () => void;
  /** The responder said nothing that counts. */
  readonly failed: (error: unknown) => void;
}

interface Kept {
  answer: Pick<Answered, 'status'> | undefined;
  until: number;
  refreshAt: number;
  asking: Promise<void> | undefined;
}

/** What responders say of certificates, kept while it counts. */
export function createOcspStatus({ ask, issuerOf, clock, revoked, failed }: OcspStatusOptions): OcspStatus {
  const kept = new Map<string, Kept>();

  function entryOf({ fingerprint256 }: X509Certificate): Kept {
    const known = kept.get(fingerprint256);
    if (known !== undefined) return known;
    const [oldest] = kept.size < MAX_KEPT ? [] : kept.keys();
    if (oldest !== undefined) kept.delete(oldest);
    const entry: Kept = { answer: undefined, until: 0, refreshAt: 0, asking: undefined };
    kept.set(fingerprint256, entry);
    return entry;
  }

  function confirm(certificate: X509Certificate): Promise<void> | undefined {
    const entry = entryOf(certificate);
    const now = clock();
    if (now >= entry.until) return fetched(certificate, entry).then(() => requireGood(entry));
    // While it still counts, nobody waits for the next one.
    if (now >= entry.refreshAt) void fetched(certificate, entry);
    requireGood(entry);
    return undefined;
  }

  function requireGood({ answer, until }: Kept): void {
    if (answer === undefined || clock() >= until) throw new Unauthenticated('CERTIFICATE_STATUS_UNKNOWN');
    if (answer.status === 'revoked') throw new Unauthenticated('CERTIFICATE_REVOKED');
  }

  function fetched(certificate: X509Certificate, entry: Kept): Promise<void> {
    entry.asking ??= refresh(certificate, entry).finally(() => {
      entry.asking = undefined;
    });
    return entry.asking;
  }

  async function refresh(certificate: X509Certificate, entry: Kept): Promise<void> {
    try {
      const issuer = issuerOf(certificate);
      if (issuer === undefined) throw new Unauthenticated('NOT_TRUSTED');
      const answer = await ask(certificate, issuer, ASK_LIMIT);
      const now = clock();
      const wasGood = entry.answer?.status === 'good';
      entry.answer = answer;
      entry.until = Math.min(answer.until, now + MAX_AGE);
      entry.refreshAt = now + (entry.until - now) * REFRESH_AT;
      if (wasGood && answer.status === 'revoked') revoked();
    } catch (error) {
      failed(error);
      const now = clock();
      entry.refreshAt = now + PAUSE;
      // What was good counts to its end; where there is nothing, who comes next is told so without asking again at once.
      if (now < entry.until) return;
      entry.answer = undefined;
      entry.until = now + PAUSE;
    }
  }

  return {
    confirm,
    isRevoked: ({ fingerprint256 }) => kept.get(fingerprint256)?.answer?.status === 'revoked',
  };
}
