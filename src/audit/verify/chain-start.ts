import type { ChainClaims } from './claims.ts';
import { VerifyError } from './errors.ts';
import type { EventFacts } from './event-check.ts';
import type { GrowingTree } from './growing-tree.ts';
import type { Covered } from './signer-range.ts';

/** Where the verification of a chain begins. */
export interface ChainStart {
  readonly from: number;
  /** What an earlier verification found at `from`: the event's hash, and the tree up to it. */
  readonly trusted?: { readonly hash: string; readonly tree: GrowingTree } | undefined;
  /** What the log of checkpoints says of the chain. */
  readonly claims?: ChainClaims | undefined;
  readonly covered?: Covered | undefined;
  /** Bodies of events that may approve the removal of others. */
  readonly prunings?: readonly Uint8Array[] | undefined;
}

/** Throws VerifyError STATE unless the first event is the one at which the earlier verification ended (`trusted`). */
export function checkStart(
  chain: string,
  first: number,
  trusted: string | undefined,
  { seq, hash, bodyHash }: Pick<EventFacts, 'seq' | 'hash' | 'bodyHash'>,
): void {
  if (trusted === undefined || (seq === first && hash === trusted && bodyHash === trusted)) return;
  throw stateMisfit(chain, first);
}

export function stateMisfit(chain: string, seq: number): VerifyError {
  const what = `chain ${chain} does not have the event at seq ${seq} at which the state was taken`;
  return new VerifyError('STATE', `${what}: the log was cut back or rewritten since; verify it from its beginning`);
}
