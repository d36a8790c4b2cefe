import { TransparencyError } from './errors.ts';
import { HASH_BYTES } from './merkle.ts';

/** Hashes that were stored one behind the other. Throws MALFORMED for a rest that is none. */
export function splitHashes(bytes: Buffer): Buffer[] {
  const count = bytes.length / HASH_BYTES;
  if (!Number.isInteger(count)) throw new TransparencyError('MALFORMED', 'the hashes are not of 32 bytes each');
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}
