import { type Signer, SignerError } from '../crypto/signer.ts';
import type { ChainDraft } from './chain.ts';
import { type SealedEvent, signedBytes } from './event.ts';

/** ms; below lock_timeout, so that a dead signer never looks like a dead database. */
const SIGN_DEADLINE_MS = 2000;

/** For each draft the signatures of its events, all made at once; null without a signer. */
export async function signaturesOf(
  by: Signer | undefined,
  drafts: readonly ChainDraft[],
  signed: (seconds: number) => void,
): Promise<readonly (readonly (string | null)[])[]> {
  if (by === undefined) return drafts.map(({ events }) => events.map(() => null));
  const signatures = await signAll(
    by,
    drafts.flatMap(({ events }) => events),
    signed,
  );
  let used = 0;
  return drafts.map(({ events }) => {
    used += events.length;
    return signatures.slice(used - events.length, used);
  });
}

async function signAll(
  by: Signer,
  events: readonly SealedEvent[],
  signed: (seconds: number) => void,
): Promise<readonly string[]> {
  if (events.length === 0) return [];
  const started = performance.now();
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(new Error('the signer took too long')), SIGN_DEADLINE_MS);
  try {
    const signatures = await Promise.all(events.map((event) => by.sign(signedBytes(event), deadline.signal)));
    return signatures.map((signature) => signature.toString('base64'));
  } catch (cause) {
    throw cause instanceof SignerError ? cause : new SignerError('the audit signer failed', { cause });
  } finally {
    clearTimeout(timer);
    signed((performance.now() - started) / 1000);
  }
}
