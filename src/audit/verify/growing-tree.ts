import { emptyRoot, nodeHash } from '../../transparency/merkle.ts';

const SIZE_BYTES = 8;
const HASH_BYTES = 32;

/**
 * An RFC 6962 tree of which only the roots of its complete subtrees are kept, the largest first: one for each bit set in its
 * size. Written apart from the compact range that the writer keeps in its heads, so that a fault there is seen here.
 */
export class GrowingTree {
  #size = 0;
  #subtrees: Buffer[] = [];

  get size(): number {
    return this.#size;
  }

  add(leaf: Buffer): void {
    let hash = leaf;
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      const left = this.#subtrees.pop();
      if (left !== undefined) hash = nodeHash(left, hash);
    }
    this.#subtrees.push(hash);
    this.#size += 1;
  }

  root(): Buffer {
    let root: Buffer | undefined;
    for (const left of this.#subtrees.toReversed()) root = root === undefined ? left : nodeHash(left, root);
    return root ?? emptyRoot();
  }

  /** As `audit_heads.tree` has it: the size in 8 bytes, big-endian, and the subtrees. */
  bytes(): Buffer {
    const size = Buffer.alloc(SIZE_BYTES);
    size.writeBigUInt64BE(BigInt(this.#size));
    return Buffer.concat([size, ...this.#subtrees]);
  }

  /** The tree whose bytes they are; undefined for what are nobody's. */
  static from(bytes: Buffer): GrowingTree | undefined {
    if (bytes.length < SIZE_BYTES || (bytes.length - SIZE_BYTES) % HASH_BYTES !== 0) return undefined;
    const size = bytes.readBigUInt64BE();
    const bits = size.toString(2).replaceAll('0', '').length;
    if (size > BigInt(Number.MAX_SAFE_INTEGER) || (bytes.length - SIZE_BYTES) / HASH_BYTES !== bits) return undefined;
    const tree = new GrowingTree();
    tree.#size = Number(size);
    for (let at = SIZE_BYTES; at < bytes.length; at += HASH_BYTES) {
      tree.#subtrees.push(Buffer.from(bytes.subarray(at, at + HASH_BYTES)));
    }
    return tree;
  }
}
