import { TransparencyError } from './errors.ts';
import { memoryTree } from './memory-tree.ts';
import { isHash, leafHash } from './merkle.ts';
import type { NodeReader } from './proofs.ts';
import { readBundle, readHashTile } from './tile-files.ts';
import { TILE_HEIGHT, TILE_WIDTH, type TileId, tileAt, tilePath } from './tile-path.ts';
import { type NodeId, requireSize } from './tree-nodes.ts';

export interface TileEntry {
  readonly index: number;
  readonly entry: Buffer;
  readonly leafHash: Buffer;
  /** Whether its hash is the one in the tree; where it is not, one of the two was changed. */
  readonly intact: boolean;
}

/** A tree of `size` entries in a directory of tiles. Nothing it gives is true before the root is compared with a checkpoint. */
export interface TileReader {
  readonly size: number;
  /** Node hashes for `inclusionProof`, `consistencyProof` and `rootAt`; each tile is read once a call. */
  readonly read: NodeReader;
  /** The entries from `from` on, in order; one bundle at a time is held. */
  entries(from?: number): AsyncGenerator<TileEntry, void, undefined>;
}

/** Reads nothing yet; `size` is what a checkpoint says. */
export function tileReader(directory: string, size: number): TileReader {
  requireSize(size, 'the tree size');
  return {
    size,
    read: (nodes) => readNodes(directory, size, nodes),
    entries: (from = 0) => readEntries(directory, size, from),
  };
}

async function readNodes(directory: string, size: number, nodes: readonly NodeId[]): Promise<Buffer[]> {
  const tiles = new Map<string, Promise<Buffer[]>>();
  return Promise.all(
    nodes.map(async (node) => {
      const { tile, from, count } = spotOf(node, size);
      const path = tilePath(tile);
      const hashes = tiles.get(path) ?? readHashTile(directory, tile);
      tiles.set(path, hashes);
      // What lies between two levels of tiles is hashed anew from the lower one: at most 127 hashes.
      return memoryTree((await hashes).slice(from, from + count)).root;
    }),
  );
}

/** The hashes of a tile that lie under a node. */
function spotOf({ level, index }: NodeId, size: number): { tile: TileId; from: number; count: number } {
  const tileLevel = Math.floor(level / TILE_HEIGHT);
  const count = 2 ** (level % TILE_HEIGHT);
  const last = (index + 1) * count - 1;
  const tile = tileAt(tileLevel, last, size);
  return { tile, from: index * count - tile.index * TILE_WIDTH, count };
}

async function* readEntries(directory: string, size: number, from: number): AsyncGenerator<TileEntry, void, undefined> {
  requireSize(from, 'the index');
  for (let at = from; at < size; ) {
    const bundle = tileAt('entries', at, size);
    const [entries, hashes] = await Promise.all([
      readBundle(directory, bundle),
      readHashTile(directory, { ...bundle, level: 0 }),
    ]);
    const start = bundle.index * TILE_WIDTH;
    for (; at < start + bundle.width; at += 1) yield entryAt(at, entries[at - start], hashes[at - start]);
  }
}

function entryAt(index: number, entry: Buffer | undefined, stored: Buffer | undefined): TileEntry {
  if (entry === undefined || !isHash(stored)) throw new TransparencyError('NODE_UNAVAILABLE', `no entry ${index}`);
  const own = leafHash(entry);
  return { index, entry, leafHash: own, intact: own.equals(stored) };
}
