import { TransparencyError } from './errors.ts';
import { foldHashes, HASH_BYTES, isHash, nodeHash } from './merkle.ts';
import { coverOf, isSize, type LeafRange } from './tree-nodes.ts';

const SIZE_BYTES = 8;

/**
 * All that must be kept of the leaves `begin` to `end` in order to go on: the hashes of the complete subtrees that cover them
 * (`coverOf`), at most 53 for a tree. Never changed in place: a transaction that is rolled back keeps the one it had.
 */
export interface CompactRange extends LeafRange {
  readonly hashes: readonly Uint8Array[];
}

/** Told of each complete subtree, once, when its last leaf comes: children before parents, each level from left to right. */
export type NodeVisitor = (level: number, index: number, hash: Uint8Array) => void;

/** A range without leaves, that begins with leaf `begin`. */
export function emptyRange(begin = 0): CompactRange {
  if (!isSize(begin)) throw new TransparencyError('OUT_OF_RANGE', `no leaf has the index ${begin}`);
  return { begin, end: begin, hashes: [] };
}

/** The range with `leaves` (their hashes) behind it. n leaves cost at most n + 53 hashes, about n in the long run. */
export function extendRange(range: CompactRange, leaves: readonly Uint8Array[], visit?: NodeVisitor): CompactRange {
  const end = range.end + leaves.length;
  if (!isSize(end)) throw new TransparencyError('OUT_OF_RANGE', 'the tree is full');
  const hashes = [...range.hashes];
  leaves.forEach((leaf, offset) => {
    push(hashes, { begin: range.begin, level: 0, index: range.end + offset, hash: leaf }, visit);
  });
  return { begin: range.begin, end, hashes };
}

/** Whether `leaves`, from the start of a tile on, are the last of the range. */
export function endsWith({ hashes }: CompactRange, leaves: readonly Uint8Array[]): boolean {
  const tail = extendRange(emptyRange(), leaves).hashes;
  return Buffer.concat(tail).equals(Buffer.concat(hashes.slice(hashes.length - tail.length)));
}

/** Both ranges as one; `right` begins where `left` ends, else OUT_OF_RANGE. */
export function mergeRanges(left: CompactRange, right: CompactRange): CompactRange {
  if (left.end !== right.begin) throw new TransparencyError('OUT_OF_RANGE', 'the ranges are not neighbours');
  const hashes = [...left.hashes];
  coverOf(right).forEach(({ level, index }, place) => {
    const hash = right.hashes[place];
    if (hash !== undefined) push(hashes, { begin: left.begin, level, index, hash });
  });
  return { begin: left.begin, end: right.end, hashes };
}

/** The RFC 6962 root of a range that begins with the first leaf. */
export function rootOf(range: CompactRange): Buffer {
  if (range.begin !== 0) throw new TransparencyError('OUT_OF_RANGE', 'only a range from the first leaf has a root');
  return foldHashes(range.hashes);
}

/** A range from the first leaf as bytes: its size in 8 bytes, big-endian, and its hashes; at most 1,704 bytes. */
export function encodeRange(range: CompactRange): Buffer {
  if (range.begin !== 0) throw new TransparencyError('OUT_OF_RANGE', 'only a range from the first leaf is stored');
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeBigUInt64BE(BigInt(range.end));
  return Buffer.concat([size, ...range.hashes]);
}

/** The range whose bytes they are. Throws MALFORMED unless there are exactly as many hashes as the size has bits set. */
export function decodeRange(bytes: Uint8Array): CompactRange {
  const buffer = Buffer.from(bytes);
  if (buffer.length < SIZE_BYTES) throw new TransparencyError('MALFORMED', 'a compact range has a size');
  const end = Number(buffer.readBigUInt64BE());
  if (!isSize(end)) throw new TransparencyError('MALFORMED', 'the size of the compact range is no safe integer');
  const count = coverOf({ begin: 0, end }).length;
  if (buffer.length !== SIZE_BYTES + count * HASH_BYTES) {
    throw new TransparencyError('MALFORMED', `a compact range over ${end} leaves has ${count} hashes`);
  }
  const at = (place: number) => SIZE_BYTES + place * HASH_BYTES;
  return { begin: 0, end, hashes: Array.from({ length: count }, (_, i) => buffer.subarray(at(i), at(i + 1))) };
}

/** Adds a complete subtree on the right and joins it with its left siblings, as far as they are in the range. */
function push(
  hashes: Uint8Array[],
  node: { begin: number; level: number; index: number; hash: Uint8Array },
  visit?: NodeVisitor,
): void {
  let { level, index, hash } = node;
  if (!isHash(hash)) throw new TransparencyError('OUT_OF_RANGE', 'a leaf hash has 32 bytes');
  visit?.(level, index, hash);
  for (let span = 2 ** level; index % 2 === 1 && (index - 1) * span >= node.begin; span *= 2) {
    const left = hashes.pop();
    if (left === undefined) throw new TransparencyError('OUT_OF_RANGE', 'the range lacks hashes');
    hash = nodeHash(left, hash);
    index = (index - 1) / 2;
    level += 1;
    visit?.(level, index, hash);
  }
  hashes.push(hash);
}
