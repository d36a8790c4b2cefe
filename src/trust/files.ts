import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { sha256Digest, sha256Hex } from '../crypto/digest.ts';
import { FileRefused } from './errors.ts';

/** Bytes; a revocation list of 100,000 entries has 4 MB. */
const MAX_BYTES = 16 * 1_048_576;

/** The bytes of every path. */
export type Contents = ReadonlyMap<string, Buffer>;

/** Reads files as they are now; a link, such as those of a mounted secret, is followed anew. Rejects with FileRefused. */
export async function readFiles(paths: readonly string[]): Promise<Contents> {
  const entries = await Promise.all(paths.map(async (path) => [path, await readOne(path)] as const));
  return new Map(entries);
}

/** One text for the contents of a source: that of `sha256sum` where it is one file. */
export function digestOf(contents: Contents): string {
  const [only, ...more] = contents.values();
  if (only !== undefined && more.length === 0) return sha256Digest(only);
  return sha256Digest([...contents.values()].map((bytes) => sha256Hex(bytes)).join('\n'));
}

async function readOne(path: string): Promise<Buffer> {
  try {
    return await readBounded(path);
  } catch (cause) {
    if (cause instanceof FileRefused) throw cause;
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new FileRefused(`${path} cannot be read (${reason})`, { cause });
  }
}

async function readBounded(path: string): Promise<Buffer> {
  // Opening a pipe would otherwise wait for whoever writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new FileRefused(`${path} is not a file`);
    if (stats.size > MAX_BYTES) throw new FileRefused(`${path} has more than ${MAX_BYTES} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
