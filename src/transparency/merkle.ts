import { hash } from 'node:crypto';
import { TransparencyError } from './errors.ts';

/** SHA-256. */
export const HASH_BYTES = 32;

// RFC 6962 §2.1: the prefixes keep a leaf from being taken for a node, and so from standing for leaves that never were.
const LEAF = 0;
const NODE = 1;
/** Bytes of an entry that is hashed without a buffer of its own: an audit event is never larger. */
const USUAL_ENTRY = 65_535;
/** One buffer each for all: a call fills what it hashes, and nothing is awaited in between. */
const pair = Buffer.alloc(1 + 2 * HASH_BYTES, NODE);
const leaf = Buffer.alloc(1 + USUAL_ENTRY, LEAF);

/** The root of a tree without leaves: SHA-256 of nothing. */
export function emptyRoot(): Buffer {
  return hash('sha256', '', 'buffer');
}

/** SHA-256(0x00 || entry). */
export function leafHash(entry: Uint8Array): Buffer {
  const prefixed = entry.length <= USUAL_ENTRY ? leaf : Buffer.alloc(1 + entry.length, LEAF);
  prefixed.set(entry, 1);
  return hash('sha256', prefixed.subarray(0, 1 + entry.length), 'buffer');
}

/** SHA-256(0x01 || left || right). Throws OUT_OF_RANGE for anything but two hashes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  // A shorter one would leave bytes of the last call in its place.
  if (!isHash(left) || !isHash(right)) throw new TransparencyError('OUT_OF_RANGE', 'a node has two hashes of 32 bytes');
  pair.set(left, 1);
  pair.set(right, 1 + HASH_BYTES);
  return hash('sha256', pair, 'buffer');
}

/** The hash over neighbouring complete subtrees, each larger than the next: what an incomplete subtree hashes to. */
export function foldHashes(hashes: readonly Uint8Array[]): Buffer {
  const last = hashes.at(-1);
  if (last === undefined) return emptyRoot();
  return hashes.slice(0, -1).reduceRight<Buffer>((right, left) => nodeHash(left, right), Buffer.from(last));
}

/** Whether it can be a hash at all. */
export function isHash(value: Uint8Array | undefined): value is Uint8Array {
  return value?.length === HASH_BYTES;
}
