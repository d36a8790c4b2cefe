import type { Trx } from '../storage/database.ts';
import {
  type CompactRange,
  decodeRange,
  emptyRange,
  endsWith,
  extendRange,
  rootOf,
} from '../transparency/compact-range.ts';
import { TransparencyError } from '../transparency/errors.ts';
import { TILE_HEIGHT, TILE_WIDTH } from '../transparency/tile-path.ts';
import { coverOf } from '../transparency/tree-nodes.ts';
import { entryBytes } from './entry.ts';
import {
  type GrownChain,
  type LeafSpan,
  type NewEntry,
  readChainLeaves,
  readGrownChains,
  readTileRoots,
} from './store.ts';
import { newlyFull, type Tile, tileName } from './tiles.ts';
import { storedTree } from './tree-reader.ts';

/** Chains and events taken up at once: what is read for them is 2 MiB. */
const CHAINS = 1000;
const EVENTS = 65_536;

/** What of the chains is new. */
export interface Growth {
  readonly entries: readonly NewEntry[];
  readonly tiles: readonly Tile[];
  /** Chains that do not go on from their newest entry, or not as their head says. */
  readonly damaged: readonly string[];
  /** Where the next page begins; undefined behind the last one. */
  readonly next: string | undefined;
}

/** A chain with what of it is taken up now. */
interface Step {
  readonly grown: GrownChain;
  readonly to: number;
}

/**
 * The checkpoints of the chains after `after` that have grown. Each goes on from the range at the chain's newest entry, over
 * the bodies as they are stored now, so it is consistent with that entry; and at the head it must be the tree that the
 * appends have kept, so that no body was changed in between.
 */
export async function growthAfter(trx: Trx, after: string): Promise<Growth> {
  const chains = await readGrownChains(trx, after, CHAINS);
  const steps = stepsOf(chains);
  const read = await readLeavesOf(trx, steps);
  const entries: NewEntry[] = [];
  const tiles: Tile[] = [];
  const damaged: string[] = [];
  for (const step of steps) {
    // Only what is kept for the next round was lost: there is nothing to enter.
    if (step.grown.size === step.grown.seq) continue;
    const before = await rangeAtEntry(trx, step.grown);
    const roots = new Map<string, Uint8Array>();
    const range = before && grownRange(step, before, read.leaves.get(step.grown.chain) ?? [], roots);
    if (before === undefined || range === undefined || !isIntact(step, before, range, read.reread)) {
      damaged.push(step.grown.chain);
      continue;
    }
    const checkpoint = { chain: step.grown.chain, size: range.end, root: rootOf(range) };
    entries.push({ ...checkpoint, entry: entryBytes(checkpoint), tree: range });
    tiles.push(...(await tilesOf(trx, step, read, roots)));
  }
  return { entries, tiles, damaged, next: nextOf(after, chains, steps, damaged) };
}

/** As many chains as there are events to be had for, at least one; a long one in parts. */
function stepsOf(chains: readonly GrownChain[]): Step[] {
  const steps: Step[] = [];
  let left = EVENTS;
  for (const grown of chains) {
    if (left <= 0) break;
    const to = Math.min(grown.seq, grown.size + left);
    left -= Math.max(0, to - grown.size);
    steps.push({ grown, to });
  }
  return steps;
}

/** Behind the last chain with which we are done; only the last step may be a part of its chain. */
function nextOf(
  after: string,
  chains: readonly GrownChain[],
  steps: readonly Step[],
  damaged: readonly string[],
): string | undefined {
  const last = steps.at(-1);
  if (last === undefined) return undefined;
  const { chain, seq } = last.grown;
  if (last.to < seq && !damaged.includes(chain)) return steps.at(-2)?.grown.chain ?? after;
  return steps.length < chains.length || chains.length === CHAINS ? chain : undefined;
}

interface Leaves {
  /** Of the events behind the newest entry. */
  readonly leaves: ReadonlyMap<string, readonly Buffer[]>;
  /** Of those before it that share their tile, for chains that fill it now. */
  readonly reread: ReadonlyMap<string, readonly Buffer[]>;
}

async function readLeavesOf(trx: Trx, steps: readonly Step[]): Promise<Leaves> {
  const spans = steps
    .map(({ grown: { chain, size }, to }): LeafSpan => ({ chain, from: size, to }))
    .filter(({ from, to }) => from < to);
  const again = spans
    .map(({ chain, from, to }) => ({ chain, from: tileStart(from), to: from, fills: tileStart(to) > tileStart(from) }))
    .filter(({ from, to, fills }) => fills && from < to);
  return { leaves: await readChainLeaves(trx, spans), reread: await readChainLeaves(trx, again) };
}

/** The range that the newest entry was made of: the one that was kept, if it has the entry's root, else from the tiles. */
async function rangeAtEntry(
  trx: Trx,
  { chain, size, root, entry, tree }: GrownChain,
): Promise<CompactRange | undefined> {
  if (size === 0) return emptyRange();
  if (root === null || entry === null || !entryBytes({ chain, size, root }).equals(entry)) return undefined;
  const kept = fittingRange(tree, size);
  if (kept !== undefined && rootOf(kept).equals(root)) return kept;
  const hashes = await storedTree(trx, chain, size)(coverOf({ begin: 0, end: size }));
  const made = { begin: 0, end: size, hashes: hashes.filter((hash) => hash !== undefined) };
  return made.hashes.length === hashes.length && rootOf(made).equals(root) ? made : undefined;
}

/** Undefined when the chain is shorter than its newest entry, or events are missing. `roots` gets those of the full tiles. */
function grownRange(
  { to }: Step,
  before: CompactRange,
  leaves: readonly Buffer[],
  roots: Map<string, Uint8Array>,
): CompactRange | undefined {
  if (to <= before.end || leaves.length !== to - before.end) return undefined;
  return extendRange(before, leaves, (level, index, hash) => {
    if (level > 0 && level % TILE_HEIGHT === 0) roots.set(tileName(level / TILE_HEIGHT - 1, index), hash);
  });
}

function isIntact({ grown, to }: Step, before: CompactRange, range: CompactRange, reread: Leaves['reread']): boolean {
  const again = reread.get(grown.chain);
  if (again !== undefined && !endsWith(before, again)) return false;
  // A head without a tree was not written by this release; the next append makes one from the rows.
  const head = to === grown.seq ? fittingRange(grown.headTree, to) : undefined;
  return head === undefined ? to < grown.seq || grown.headTree === null : rootOf(head).equals(rootOf(range));
}

async function tilesOf(
  trx: Trx,
  { grown: { chain, size } }: Step,
  { leaves, reread }: Leaves,
  known: ReadonlyMap<string, Uint8Array>,
): Promise<Tile[]> {
  const earlier = async (level: number, from: number, to: number) =>
    level === 0 ? (reread.get(chain) ?? []) : readRoots(trx, chain, level - 1, from, to);
  return newlyFull(chain, size, leaves.get(chain) ?? [], earlier, known);
}

/** The roots of tiles that are there: hashes of the level above. */
export async function readRoots(trx: Trx, tree: string, level: number, from: number, to: number): Promise<Buffer[]> {
  const names = Array.from({ length: to - from }, (_, at) => ({ level, index: from + at }));
  const roots = await readTileRoots(trx, tree, names);
  return names.map(({ index }) => {
    const root = roots.get(tileName(level, index));
    if (root === undefined) throw new TransparencyError('NODE_UNAVAILABLE', `no tile ${level}/${index} of ${tree}`);
    return root;
  });
}

function fittingRange(bytes: Buffer | null, size: number): CompactRange | undefined {
  if (bytes === null) return undefined;
  try {
    const range = decodeRange(bytes);
    return range.end === size ? range : undefined;
  } catch (error) {
    if (error instanceof TransparencyError) return undefined;
    throw error;
  }
}

function tileStart(size: number): number {
  return size - (size % TILE_WIDTH);
}
