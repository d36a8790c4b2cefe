import { emptyRoot, isHash, nodeHash } from './merkle.ts';
import { isSize } from './tree-nodes.ts';

/** A leaf and the way from it to the root of its tree. */
export interface LeafPlace {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

export interface InclusionClaim extends LeafPlace {
  readonly root: Uint8Array;
}

export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly size: number;
  readonly oldRoot: Uint8Array;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** Whether the leaf stands at `index` under `root` (RFC 9162 §2.1.3.2, the same trees as RFC 6962). Never throws. */
export function verifyInclusion(claim: InclusionClaim): boolean {
  const root = rootAbove(claim);
  return root !== undefined && areHashes([claim.root]) && same(root, claim.root);
}

/** The root that the leaf's proof leads to (RFC 9162 §2.1.3.2); undefined for a proof that is none of such a place. */
export function rootAbove({ index, size, leafHash, proof }: LeafPlace): Uint8Array | undefined {
  if (!isSize(index) || !isSize(size) || index >= size) return undefined;
  if (!areHashes([leafHash, ...proof])) return undefined;
  let hash = leafHash;
  let at = { own: index, last: size - 1 };
  for (const sibling of proof) {
    if (at.last === 0) return undefined; // longer than the tree is high
    if (isRightChild(at)) {
      hash = nodeHash(sibling, hash);
      at = skipMissing(at);
    } else {
      hash = nodeHash(hash, sibling);
    }
    at = up(at);
  }
  return at.last === 0 ? hash : undefined;
}

/**
 * Whether the tree under `root` begins with the tree under `oldRoot` (RFC 9162 §2.1.4.2). Never throws. An empty old tree is
 * the beginning of every tree (C2SP tlog-witness): its root must be the empty one and the proof empty.
 */
export function verifyConsistency({ oldSize, size, oldRoot, root, proof }: ConsistencyClaim): boolean {
  if (!isSize(oldSize) || !isSize(size) || oldSize > size) return false;
  if (!areHashes([oldRoot, root, ...proof])) return false;
  if (size === 0 && !same(root, emptyRoot())) return false;
  if (oldSize === 0) return proof.length === 0 && same(oldRoot, emptyRoot());
  if (oldSize === size) return proof.length === 0 && same(oldRoot, root);

  let at = { own: oldSize - 1, last: size - 1 };
  while (at.own % 2 === 1) at = up(at);
  // Down to zero: the old tree is complete, its root is where both paths begin, and the proof does not repeat it.
  const [start, ...rest] = at.own === 0 ? [oldRoot, ...proof] : proof;
  if (start === undefined) return false;
  let oldHash = start;
  let hash = start;
  for (const sibling of rest) {
    if (at.last === 0) return false;
    if (isRightChild(at)) {
      oldHash = nodeHash(sibling, oldHash);
      hash = nodeHash(sibling, hash);
      at = skipMissing(at);
    } else {
      hash = nodeHash(hash, sibling);
    }
    at = up(at);
  }
  return at.last === 0 && same(oldHash, oldRoot) && same(hash, root);
}

/** The node on the path, and the last node of its level, by index. */
interface Place {
  readonly own: number;
  readonly last: number;
}

/** Its sibling is on the left; so it is for the last node of a level, whose sibling may be some levels up. */
function isRightChild({ own, last }: Place): boolean {
  return own % 2 === 1 || own === last;
}

/** Up to the level at which the node has a sibling: a last node with an even index has none. */
function skipMissing(place: Place): Place {
  let at = place;
  while (at.own % 2 === 0 && at.own !== 0) at = up(at);
  return at;
}

function up({ own, last }: Place): Place {
  return { own: Math.floor(own / 2), last: Math.floor(last / 2) };
}

function areHashes(values: readonly Uint8Array[]): boolean {
  return values.every(isHash);
}

/** Nothing here is secret, so the time it takes may show where they differ. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
