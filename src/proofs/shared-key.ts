import type { VerificationKey } from '../crypto/verify.ts';

/**
 * One look at the registry for all who ask while it is under way: proofs that are made at the same time need the key once.
 * The unit that stores a proof asks the registry again.
 */
export function sharedKey(ask: () => Promise<VerificationKey>): () => Promise<VerificationKey> {
  let asking: Promise<VerificationKey> | undefined;
  return () => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}
