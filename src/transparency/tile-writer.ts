import { type CompactRange, extendRange } from './compact-range.ts';
import { encodeBundle, MAX_ENTRY_BYTES } from './entry-bundle.ts';
import { TransparencyError } from './errors.ts';
import { leafHash } from './merkle.ts';
import { readBundle, readHashTile, removePartials, writeTile } from './tile-files.ts';
import { TILE_HEIGHT, TILE_LEVELS, TILE_WIDTH, type TileId } from './tile-path.ts';
import { tileReader } from './tile-reader.ts';
import { coverOf, requireSize } from './tree-nodes.ts';

/** An entry that is gone, of which the tree only needs the hash. In a bundle with others it has no bytes. */
export interface RemovedEntry {
  readonly leafHash: Uint8Array;
}

/** The last tile of a level: not full, perhaps empty. */
interface OpenTile {
  readonly level: number | 'entries';
  index: number;
  content: Uint8Array[];
  /** There is a partial file of it, that the full one makes superfluous. */
  partial: boolean;
}

/** A tree with its last tiles in hand; what is full is written and forgotten, so the memory it takes does not grow. */
interface Growing {
  readonly directory: string;
  range: CompactRange;
  readonly bundle: OpenTile;
  /** Leaf hashes of the entries of the bundle that are not in the range yet. */
  leaves: Uint8Array[];
  readonly levels: readonly OpenTile[];
}

/**
 * Writes `entries` as tiles behind the `from` entries that `directory` holds already, and gives the range over all of them: its
 * root and size are for the checkpoint, to be written last. Broken off, it is begun again with the same `from`. One writer at a time.
 */
export async function writeTiles(
  directory: string,
  entries: AsyncIterable<Uint8Array | RemovedEntry> | Iterable<Uint8Array | RemovedEntry>,
  from = 0,
): Promise<CompactRange> {
  const tree = await resume(directory, from);
  const { bundle } = tree;
  for await (const entry of entries) {
    const removed = 'leafHash' in entry;
    if (!removed && entry.length > MAX_ENTRY_BYTES)
      throw new TransparencyError('OUT_OF_RANGE', 'an entry has at most 65,535 bytes');
    bundle.content.push(removed ? Buffer.alloc(0) : entry);
    tree.leaves.push(removed ? entry.leafHash : leafHash(entry));
    if (bundle.content.length === TILE_WIDTH) await grow(tree);
  }
  await grow(tree);
  for (const tile of tree.levels) await writeOpen(directory, tile);
  return tree.range;
}

async function resume(directory: string, size: number): Promise<Growing> {
  requireSize(size, 'the tree size');
  const hashes = await tileReader(directory, size).read(coverOf({ begin: 0, end: size }));
  const levels: OpenTile[] = [];
  for (let level = 0; level < TILE_LEVELS; level += 1) {
    levels.push(await reopen(level, Math.floor(size / TILE_WIDTH ** level), (tile) => readHashTile(directory, tile)));
  }
  const bundle = await reopen('entries', size, (tile) => readBundle(directory, tile));
  return {
    directory,
    range: { begin: 0, end: size, hashes: hashes.filter((hash) => hash !== undefined) },
    bundle,
    leaves: [],
    levels,
  };
}

async function reopen(
  level: number | 'entries',
  count: number,
  read: (tile: TileId) => Promise<Uint8Array[]>,
): Promise<OpenTile> {
  const index = Math.floor(count / TILE_WIDTH);
  const width = count % TILE_WIDTH;
  return { level, index, content: width === 0 ? [] : await read({ level, index, width }), partial: width > 0 };
}

/** Takes the new entries of the bundle into the tree; writes the bundle, and all tiles that are full with it. */
async function grow(tree: Growing): Promise<void> {
  const { directory, bundle, levels } = tree;
  tree.range = extendRange(tree.range, tree.leaves, (level, _index, hash) => {
    const tile = level % TILE_HEIGHT === 0 ? levels[level / TILE_HEIGHT] : undefined;
    tile?.content.push(hash);
  });
  tree.leaves = [];
  await writeOpen(directory, bundle);
  for (const tile of levels) if (tile.content.length === TILE_WIDTH) await writeOpen(directory, tile);
}

/** Writes what is in hand, under the name of its width; a full tile gives way to the next. */
async function writeOpen(directory: string, tile: OpenTile): Promise<void> {
  const { level, index, content } = tile;
  const width = content.length;
  if (width === 0) return;
  const id = { level, index, width };
  const bytes = level === 'entries' ? encodeBundle(content) : Buffer.concat(content);
  // A bundle of which every entry is gone is not there either.
  if (content.some(({ length }) => length > 0)) await writeTile(directory, id, bytes);
  if (width < TILE_WIDTH) return;
  if (tile.partial) await removePartials(directory, id);
  tile.index += 1;
  tile.content = [];
  tile.partial = false;
}
