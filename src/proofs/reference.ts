import { type Digest, isDigest } from '../crypto/digest.ts';

/**
 * What a proof's row holds in place of an envelope that it shares with others is `{ statement }`, the digest of the signed
 * payload. The digest that `stored` refers to; undefined when it is no such reference.
 */
export function referredStatement(stored: unknown): Digest | undefined {
  if (typeof stored !== 'object' || stored === null || !('statement' in stored)) return undefined;
  const { statement } = stored;
  return Object.keys(stored).length === 1 && isDigest(statement) ? statement : undefined;
}
