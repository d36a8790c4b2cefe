import { memoryTree } from '../transparency/memory-tree.ts';
import { TILE_WIDTH } from '../transparency/tile-path.ts';

/** The tree of the global log in `audit_tiles`; no chain has this name. */
export const GLOBAL_TREE = '*';

/** A full tile: 256 hashes, and the root over them, which is a hash of the next level of tiles. */
export interface Tile {
  readonly tree: string;
  readonly level: number;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** Hashes `from` to before `to` of a level of tiles: leaf hashes, or the roots of the full tiles of the level below. */
export type LevelReader = (level: number, from: number, to: number) => Promise<readonly Uint8Array[]>;

/**
 * The tiles that become full when `leaves` follow the first `before` leaves of a tree, lower levels first. `known`: roots of
 * them that are at hand, by `tileName`; the others are hashed anew.
 */
export async function newlyFull(
  tree: string,
  before: number,
  leaves: readonly Uint8Array[],
  earlier: LevelReader,
  known: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<Tile[]> {
  const tiles: Tile[] = [];
  let from = before;
  let hashes = leaves;
  for (let level = 0; (from % TILE_WIDTH) + hashes.length >= TILE_WIDTH; level += 1) {
    const start = from - (from % TILE_WIDTH);
    const all = start === from ? hashes : [...(await earlier(level, start, from)), ...hashes];
    const roots: Uint8Array[] = [];
    for (let at = 0; at + TILE_WIDTH <= all.length; at += TILE_WIDTH) {
      const full = all.slice(at, at + TILE_WIDTH);
      const index = (start + at) / TILE_WIDTH;
      const root = known.get(tileName(level, index)) ?? memoryTree(full).root;
      tiles.push({ tree, level, index, hashes: full, root });
      roots.push(root);
    }
    from = start / TILE_WIDTH;
    hashes = roots;
  }
  return tiles;
}

export function tileName(level: number, index: number): string {
  return `${level}/${index}`;
}
