import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { decodeBundle } from './entry-bundle.ts';
import { TransparencyError } from './errors.ts';
import { HASH_BYTES } from './merkle.ts';
import { TILE_WIDTH, type TileId, tilePath } from './tile-path.ts';

/** One name for whatever is being written, so that a process that was killed leaves no more than one file behind. */
const UNFINISHED = '.unfinished-tile';

/** The hashes of a tile, from the partial file or from the full one that took its place. Throws NODE_UNAVAILABLE, MALFORMED. */
export async function readHashTile(directory: string, tile: TileId): Promise<Buffer[]> {
  const { bytes, width } = await readTile(directory, tile);
  if (bytes.length !== width * HASH_BYTES) {
    throw new TransparencyError('MALFORMED', `${tilePath(tile)} does not hold exactly ${width} hashes`);
  }
  return Array.from({ length: tile.width }, (_, at) => bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}

/** The entries of a bundle, without those of a larger tree that the file may go on with. */
export async function readBundle(directory: string, bundle: TileId): Promise<Buffer[]> {
  const { bytes, width } = await readTile(directory, bundle);
  return decodeBundle(bytes, width).slice(0, bundle.width);
}

/** The bytes of the tile, and the width of the file they are from. */
async function readTile(directory: string, tile: TileId): Promise<{ bytes: Buffer; width: number }> {
  for (const width of new Set([tile.width, TILE_WIDTH])) {
    const bytes = await readIfThere(join(directory, tilePath({ ...tile, width })));
    if (bytes !== undefined) return { bytes, width };
  }
  throw new TransparencyError('NODE_UNAVAILABLE', `${tilePath(tile)} is not there`);
}

/**
 * Writes a tile whole or not at all, for one writer at a time. A tile never changes: what is there with the same content is left
 * alone, and other content is TILE_CONFLICT, because a history that was rewritten must not pass over the one that was published.
 */
export async function writeTile(directory: string, tile: TileId, bytes: Uint8Array): Promise<void> {
  const path = join(directory, tilePath(tile));
  const there = await readIfThere(path);
  if (there !== undefined) {
    if (there.equals(bytes)) return;
    throw new TransparencyError('TILE_CONFLICT', `${tilePath(tile)} was written before with another content`);
  }
  await mkdir(dirname(path), { recursive: true });
  const unfinished = join(directory, UNFINISHED);
  await rm(unfinished, { force: true });
  await writeFile(unfinished, bytes, { flag: 'wx', flush: true });
  await rename(unfinished, path);
}

/** Removes the partial files of a tile that is there in full. */
export async function removePartials(directory: string, tile: TileId): Promise<void> {
  const full = tilePath({ ...tile, width: TILE_WIDTH });
  await rm(join(directory, `${full}.p`), { recursive: true, force: true });
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
