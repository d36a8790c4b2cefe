import { type Digest, isDigest } from '../crypto/digest.ts';

/** What a proof's row holds in place of an envelope that it shares with others: the digest of the signed payload. */
export interface StatementReference {
  readonly statement: Digest;
}

/** The digest that a stored proof refers to; undefined when it is no reference. */
export function referredStatement(stored: unknown): Digest | undefined {
  if (typeof stored !== 'object' || stored === null || !('statement' in stored)) return undefined;
  const { statement } = stored;
  return Object.keys(stored).length === 1 && isDigest(statement) ? statement : undefined;
}
