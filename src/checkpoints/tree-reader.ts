import type { Trx } from '../storage/database.ts';
import { splitHashes } from '../transparency/hash-list.ts';
import { memoryTree } from '../transparency/memory-tree.ts';
import type { NodeReader } from '../transparency/proofs.ts';
import { TILE_HEIGHT, TILE_WIDTH } from '../transparency/tile-path.ts';
import type { NodeId } from '../transparency/tree-nodes.ts';
import { readLeaves, readTileRoots, readTiles } from './store.ts';
import { tileName } from './tiles.ts';

/** A subtree as hashes of a level of tiles: `count` of them from `first` on. */
interface Span {
  readonly level: number;
  readonly first: number;
  readonly count: number;
}

/**
 * The nodes of a tree of `size`, whose full tiles are stored: from these, or, past the last full one of a level, from the
 * roots of the tiles below and from the rows themselves. Three statements a call, and never more than 256 hashes a level.
 */
export function storedTree(trx: Trx, tree: string, size: number): NodeReader {
  const isFull = ({ level, first }: Span) =>
    Math.floor(first / TILE_WIDTH) < Math.floor(size / TILE_WIDTH ** (level + 1));

  return async (nodes) => {
    const spans = nodes.map(spanOf);
    const inTiles = spans.filter(isFull);
    const above = spans.filter((span) => !isFull(span) && span.level > 0);
    const tiles = await readTiles(
      trx,
      tree,
      inTiles.map(({ level, first }) => ({ level, index: Math.floor(first / TILE_WIDTH) })),
    );
    const roots = await readTileRoots(
      trx,
      tree,
      above.flatMap(({ level, first, count }) =>
        Array.from({ length: count }, (_, at) => ({ level: level - 1, index: first + at })),
      ),
    );
    const tail = size - (size % TILE_WIDTH);
    const needsTail = spans.some((span) => !isFull(span) && span.level === 0);
    const leaves = needsTail ? await readLeaves(trx, tree, tail, size) : [];

    return spans.map((span) => {
      const hashes = hashesOf(span);
      return hashes.length === span.count ? memoryTree(hashes).root : undefined;
    });

    function hashesOf(span: Span): Buffer[] {
      const { level, first, count } = span;
      if (isFull(span)) {
        const tile = tiles.get(tileName(level, Math.floor(first / TILE_WIDTH)));
        const at = first % TILE_WIDTH;
        return tile === undefined ? [] : splitHashes(tile).slice(at, at + count);
      }
      if (level === 0) return leaves.slice(first - tail, first - tail + count);
      return Array.from({ length: count }, (_, at) => roots.get(tileName(level - 1, first + at)) ?? []).flat();
    }
  };
}

function spanOf({ level, index }: NodeId): Span {
  const count = 2 ** (level % TILE_HEIGHT);
  return { level: Math.floor(level / TILE_HEIGHT), first: index * count, count };
}
