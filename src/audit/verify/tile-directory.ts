import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { TransparencyError } from '../../transparency/errors.ts';
import { readBundle, readHashTile } from '../../transparency/tile-files.ts';
import { TILE_WIDTH, type TileId, tilePath } from '../../transparency/tile-path.ts';
import { VerifyError } from './errors.ts';

/** Entries of a bundle and what the hash tile beside it has of them. */
export interface Bundle {
  /** The index of the first entry. */
  readonly first: number;
  /** undefined: the bundle is not there. */
  readonly entries: readonly Buffer[] | undefined;
  /** The leaf hashes; undefined: the tile is not there. */
  readonly hashes: readonly Buffer[] | undefined;
}

/**
 * The bundles of one tree in order, from the one that holds entry `from` on, up to the last that is there or to `size` entries,
 * whichever is more: what is missing in between is handed on as missing.
 */
export async function* bundlesOf(directory: string, from: number, size: number): AsyncGenerator<Bundle> {
  for (let index = Math.floor(from / TILE_WIDTH); ; index += 1) {
    const width = await widthOf(directory, index);
    const first = index * TILE_WIDTH;
    if (width === 0 && first >= size) return;
    const id: TileId = { level: 'entries', index, width: Math.max(width, 1) };
    const entries = width === 0 ? undefined : await ifThere(() => readBundle(directory, id));
    const hashes = width === 0 ? undefined : await ifThere(() => readHashTile(directory, { ...id, level: 0 }));
    yield { first, entries, hashes };
  }
}

/** The largest width of this bundle of which there is a file; 0 for none. */
async function widthOf(directory: string, index: number): Promise<number> {
  const full = join(directory, tilePath({ level: 'entries', index, width: TILE_WIDTH }));
  const siblings = await listed(dirname(full));
  const name = full.slice(dirname(full).length + 1);
  if (siblings.includes(name)) return TILE_WIDTH;
  if (!siblings.includes(`${name}.p`)) return 0;
  const widths = (await listed(`${full}.p`)).filter((width) => /^[1-9][0-9]{0,2}$/.test(width)).map(Number);
  return Math.max(0, ...widths.filter((width) => width < TILE_WIDTH));
}

async function listed(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw new VerifyError('UNREADABLE', `cannot read the directory ${directory}`, cause);
  }
}

async function ifThere<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof TransparencyError && cause.code === 'NODE_UNAVAILABLE') return undefined;
    const why = cause instanceof Error ? cause.message : 'failed';
    throw new VerifyError('UNREADABLE', `cannot read a tile: ${why}`, cause);
  }
}
