import { emptyRange, extendRange, rootOf } from './compact-range.ts';
import { TransparencyError } from './errors.ts';
import { assembleProof, type NodeReader, type ProofPlan, planConsistency, planInclusion } from './proofs.ts';

/** A tree with all its nodes at hand, for a batch that one signature covers. */
export interface MemoryTree {
  readonly size: number;
  readonly root: Buffer;
  /** The path of RFC 6962 §2.1.1 from leaf `index` to the root. */
  inclusionProof(index: number): Buffer[];
  /** The proof of RFC 6962 §2.1.2 from the first `oldSize` leaves to the tree. */
  consistencyProof(oldSize: number): Buffer[];
  /** The nodes as a stored tree gives them. */
  readonly read: NodeReader;
}

/** The tree over the hashes of its leaves. */
export function memoryTree(leafHashes: readonly Uint8Array[]): MemoryTree {
  const levels: Uint8Array[][] = [];
  const range = extendRange(emptyRange(), leafHashes, (level, _index, hash) => {
    const nodes = levels[level] ?? [];
    nodes.push(hash);
    levels[level] = nodes;
  });
  const size = leafHashes.length;
  return {
    size,
    root: rootOf(range),
    inclusionProof: (index) => proofOf(planInclusion(index, size)),
    consistencyProof: (oldSize) => proofOf(planConsistency(oldSize, size)),
    read: async (nodes) => nodes.map(({ level, index }) => levels[level]?.[index]),
  };

  function proofOf(plan: ProofPlan): Buffer[] {
    const hashes = plan.nodes.map(({ level, index }) => {
      const hash = levels[level]?.[index];
      if (hash === undefined) throw new TransparencyError('NODE_UNAVAILABLE', `no node ${index} at level ${level}`);
      return hash;
    });
    return assembleProof(plan, hashes);
  }
}
