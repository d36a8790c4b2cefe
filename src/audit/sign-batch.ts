import { type Signer, SignerError } from '../crypto/signer.ts';
import type { SealedEvent } from './event.ts';
import { type RowSignatures, type SigningMode, unsigned } from './signing-mode.ts';

/** ms; below lock_timeout, so that a dead signer never looks like a dead database. */
const SIGN_DEADLINE_MS = 2000;

/** Who signs, and how. */
export interface Signing {
  readonly signer: Signer;
  readonly mode: SigningMode;
}

/** What signs the events of one transaction, in the order in which they will be stored; nothing does without a signer. */
export async function signaturesOf(
  by: Signing | undefined,
  events: readonly SealedEvent[],
  signed: (seconds: number) => void,
): Promise<RowSignatures> {
  if (by === undefined || events.length === 0) return unsigned(events);
  const { signer, mode } = by;
  const started = performance.now();
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(new Error('the signer took too long')), SIGN_DEADLINE_MS);
  try {
    return await mode.sign(events, (message) => signer.sign(message, deadline.signal));
  } catch (cause) {
    throw cause instanceof SignerError ? cause : new SignerError('the audit signer failed', { cause });
  } finally {
    clearTimeout(timer);
    signed((performance.now() - started) / 1000);
  }
}
