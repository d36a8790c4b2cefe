import { nodeHash } from '../../transparency/merkle.ts';

const HASH_BYTES = 32;
/** Leaves that a batch may have: more than any transaction holds, and numbers that bit operations can take. */
const MAX_LEAVES = 2 ** 31 - 1;
const MALFORMED: BatchPlace = { index: Number.NaN, size: Number.NaN, path: Buffer.alloc(0) };

/** Where a batch-signed event stands in the tree whose root is signed. As it is stored: perhaps no place in any tree. */
export interface BatchPlace {
  readonly index: number;
  readonly size: number;
  /** Hashes of 32 bytes from the leaf's sibling up (RFC 6962 §2.1.1). */
  readonly path: Buffer;
}

/** The place in a line of an export; undefined where there is none. What is no place comes back as one that leads nowhere. */
export function parsePlace(value: unknown): BatchPlace | undefined {
  if (value === undefined || value === null) return undefined;
  const members = new Map<string, unknown>(typeof value === 'object' ? Object.entries(value) : []);
  const [index, size, path] = [members.get('index'), members.get('size'), members.get('path')];
  if (typeof index !== 'number' || typeof size !== 'number' || !Array.isArray(path)) return MALFORMED;
  const hashes = path.map((text: unknown) => (typeof text === 'string' ? decodeHash(text) : undefined));
  const whole = hashes.filter((hash) => hash !== undefined);
  return whole.length === path.length ? { index, size, path: Buffer.concat(whole) } : MALFORMED;
}

/** The place in columns of a row; undefined where there is none. */
export function placeOf(index: number | null, size: number | null, path: Buffer | null): BatchPlace | undefined {
  if (index === null && size === null && path === null) return undefined;
  return index === null || size === null || path === null ? MALFORMED : { index, size, path };
}

/** As a line of an export has it. */
export function placeForm({ index, size, path }: BatchPlace): { index: number; size: number; path: string[] } {
  const hashes: string[] = [];
  for (let at = 0; at < path.length; at += HASH_BYTES) {
    hashes.push(path.subarray(at, at + HASH_BYTES).toString('base64'));
  }
  return { index, size, path: hashes };
}

/**
 * The root of the tree in which `leaf` has this place (RFC 9162 §2.1.3.2, which is the same tree as that of RFC 6962);
 * undefined when the path does not lead from there to any root.
 */
export function rootAbove(leaf: Buffer, { index, size, path }: BatchPlace): Buffer | undefined {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || path.length % HASH_BYTES !== 0) return undefined;
  if (index < 0 || index >= size || size > MAX_LEAVES) return undefined;
  let [own, last, hash] = [index, size - 1, leaf];
  for (let at = 0; at < path.length; at += HASH_BYTES) {
    const sibling = path.subarray(at, at + HASH_BYTES);
    if (last === 0) return undefined; // longer than the tree is high
    if (own % 2 === 1 || own === last) {
      hash = nodeHash(sibling, hash);
      // The last node of a level, with an even index, has no sibling there: up to the level where it has one.
      for (; own % 2 === 0 && own !== 0; own >>= 1) last >>= 1;
    } else {
      hash = nodeHash(hash, sibling);
    }
    own >>= 1;
    last >>= 1;
  }
  return last === 0 ? hash : undefined;
}

function decodeHash(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === HASH_BYTES && bytes.toString('base64') === text ? bytes : undefined;
}
