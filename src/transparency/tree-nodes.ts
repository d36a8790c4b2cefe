import { TransparencyError } from './errors.ts';

/**
 * A complete subtree: `level` 0 is a leaf, and it covers the leaves from `index` × 2^level to before (`index` + 1) × 2^level.
 * Sizes and indexes are numbers: a position in a chain is a safe integer in every event, and 2^53 of them last 28,000 years
 * at 10,000 a second. So all arithmetic is by division and remainder, exact to there; the bit operators stop at 2^32.
 */
export interface NodeId {
  readonly level: number;
  readonly index: number;
}

/** Half open: from `begin` to before `end`. */
export interface LeafRange {
  readonly begin: number;
  readonly end: number;
}

/** A number of leaves, or the index of one. */
export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** Throws OUT_OF_RANGE for what is no size. */
export function requireSize(value: number, what: string): void {
  if (!isSize(value)) throw new TransparencyError('OUT_OF_RANGE', `${what} is not a size: ${value}`);
}

/** The fewest complete subtrees that cover the range, from left to right; at most two of each level. */
export function coverOf({ begin, end }: LeafRange): NodeId[] {
  const nodes: NodeId[] = [];
  for (let at = begin; at < end; ) {
    let level = 0;
    let span = 1;
    while (at % (span * 2) === 0 && at + span * 2 <= end) {
      level += 1;
      span *= 2;
    }
    nodes.push({ level, index: at / span });
    at += span;
  }
  return nodes;
}

/** Where RFC 6962 §2.1 splits `count` leaves, at least two: the largest power of two below it. */
export function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}
