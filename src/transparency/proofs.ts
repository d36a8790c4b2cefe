import { TransparencyError } from './errors.ts';
import { foldHashes, isHash } from './merkle.ts';
import { coverOf, type LeafRange, type NodeId, requireSize, splitOf } from './tree-nodes.ts';

/** Gives the hashes of complete subtrees, in the order asked for. A proof asks once, for at most 106 of them. */
export type NodeReader = (nodes: readonly NodeId[]) => Promise<readonly (Uint8Array | undefined)[]>;

/** What a proof is made of: the nodes to read, and which of them make up each of its hashes. */
export interface ProofPlan {
  readonly nodes: readonly NodeId[];
  /** How many of `nodes`, one after the other, are folded into each hash of the proof. */
  readonly folds: readonly number[];
}

/** That leaf `index` is in the tree of `size` leaves: RFC 6962 §2.1.1. */
export async function inclusionProof(index: number, size: number, read: NodeReader): Promise<Buffer[]> {
  const plan = planInclusion(index, size);
  return assembleProof(plan, await readAll(plan, read));
}

/** That the tree of `size` leaves begins with the tree of `oldSize`: RFC 6962 §2.1.2; nothing for an empty old tree. */
export async function consistencyProof(oldSize: number, size: number, read: NodeReader): Promise<Buffer[]> {
  const plan = planConsistency(oldSize, size);
  return assembleProof(plan, await readAll(plan, read));
}

/** The root over the first `size` leaves of a stored tree. */
export async function rootAt(size: number, read: NodeReader): Promise<Buffer> {
  requireSize(size, 'the tree size');
  const plan = planOf([{ begin: 0, end: size }]);
  return foldHashes(await readAll(plan, read));
}

export function planInclusion(index: number, size: number): ProofPlan {
  requireSize(size, 'the tree size');
  requireSize(index, 'the index');
  if (index >= size) throw new TransparencyError('OUT_OF_RANGE', `a tree of ${size} has no leaf ${index}`);
  const siblings: LeafRange[] = [];
  for (let begin = 0, end = size; end - begin > 1; ) {
    const middle = begin + splitOf(end - begin);
    const left = index < middle;
    siblings.push(left ? { begin: middle, end } : { begin, end: middle });
    if (left) end = middle;
    else begin = middle;
  }
  return planOf(siblings.reverse());
}

export function planConsistency(oldSize: number, size: number): ProofPlan {
  requireSize(size, 'the tree size');
  requireSize(oldSize, 'the old size');
  if (oldSize > size) throw new TransparencyError('OUT_OF_RANGE', `${oldSize} is not before ${size}`);
  const pieces: LeafRange[] = [];
  if (oldSize === 0) return planOf(pieces);
  let begin = 0;
  for (let end = size; end !== oldSize; ) {
    const middle = begin + splitOf(end - begin);
    const left = oldSize <= middle;
    pieces.push(left ? { begin: middle, end } : { begin, end: middle });
    if (left) end = middle;
    else begin = middle;
  }
  // Where the old tree is itself a subtree of the new one, the verifier has its hash: the old root.
  if (begin > 0) pieces.push({ begin, end: oldSize });
  return planOf(pieces.reverse());
}

/** The proof, from the hashes of the plan's nodes in their order. */
export function assembleProof({ folds }: ProofPlan, hashes: readonly Uint8Array[]): Buffer[] {
  let from = 0;
  return folds.map((count) => {
    from += count;
    return foldHashes(hashes.slice(from - count, from));
  });
}

function planOf(pieces: readonly LeafRange[]): ProofPlan {
  const covers = pieces.map(coverOf);
  return { nodes: covers.flat(), folds: covers.map(({ length }) => length) };
}

async function readAll({ nodes }: ProofPlan, read: NodeReader): Promise<Uint8Array[]> {
  if (nodes.length === 0) return [];
  const hashes = await read(nodes);
  return nodes.map(({ level, index }, place) => {
    const hash = hashes[place];
    if (isHash(hash)) return hash;
    throw new TransparencyError('NODE_UNAVAILABLE', `the hash of node ${index} at level ${level} is not there`);
  });
}
