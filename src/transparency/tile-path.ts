import { TransparencyError } from './errors.ts';
import { isSize } from './tree-nodes.ts';

/** Hashes or entries of a full tile, which spans eight levels of the tree. */
export const TILE_WIDTH = 256;
export const TILE_HEIGHT = 8;
/** 2^53 entries fill no more than six levels of tiles and begin a seventh. */
export const TILE_LEVELS = 7;

const PATH = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/;

/** Which tile: `index` counts within its level, and a `width` below 256 makes it a partial one. */
export interface TileId {
  readonly level: number | 'entries';
  readonly index: number;
  readonly width: number;
}

/** Where a tile lies under the prefix of its log (C2SP tlog-tiles): `tile/0/x001/234` or `tile/entries/000.p/7`. */
export function tilePath({ level, index, width }: TileId): string {
  if (!isSize(index) || !isSize(width) || width < 1 || width > TILE_WIDTH) {
    throw new TransparencyError('OUT_OF_RANGE', `there is no tile ${index} with ${width} in it`);
  }
  const digits = `${index}`.padStart(Math.ceil(`${index}`.length / 3) * 3, '0');
  const elements = digits.match(/.{3}/g) ?? [];
  const place = elements.map((three, at) => (at === elements.length - 1 ? three : `x${three}`)).join('/');
  return `tile/${level}/${place}${width < TILE_WIDTH ? `.p/${width}` : ''}`;
}

/** The tile at a path, if it is the path of one in its only spelling. */
export function parseTilePath(path: string): TileId | undefined {
  const [, level = '', place = '', width] = PATH.exec(path) ?? [];
  const tile: TileId = {
    level: level === 'entries' ? level : Number(level),
    index: Number(place.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  const fits =
    place !== '' && isSize(tile.index) && tile.width <= TILE_WIDTH && (tile.level === 'entries' || tile.level < 64);
  // Written again, so that x000/001 and .p/256 are not second names.
  return fits && tilePath(tile) === path ? tile : undefined;
}

/** The tile that holds hash or entry `at` of `level` in a tree of `size`; its width is what that tree fills of it. */
export function tileAt(level: number | 'entries', at: number, size: number): TileId {
  const filled = level === 'entries' ? size : Math.floor(size / TILE_WIDTH ** level);
  if (at >= filled)
    throw new TransparencyError('OUT_OF_RANGE', `a tree of ${size} has no hash ${at} in level ${level}`);
  const index = Math.floor(at / TILE_WIDTH);
  return { level, index, width: Math.min(TILE_WIDTH, filled - index * TILE_WIDTH) };
}
