import { once } from 'node:events';
import { constants, createWriteStream } from 'node:fs';
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';

import { placeForm } from '../audit/verify/batch-place.ts';
import type { AuditRow } from '../audit/verify/row.ts';
import { leafHash } from '../transparency/merkle.ts';
import { type RemovedEntry, writeTiles } from '../transparency/tile-writer.ts';
import { Contradiction, lastEntry, SIGNATURES } from './tile-export-state.ts';

/** Removed events whose hashes are read at once. */
const PAGE = 16_384;

/** Leaf hashes of events of the chain, also of removed ones; fewer where an event is missing that nobody removed. */
type ReadLeaves = (from: number, to: number) => Promise<readonly Buffer[]>;

/**
 * Writes the bodies of one chain as the entries of a tree, and their signatures beside it, behind the `from` that are there; the
 * first of `rows` is then the last of those, so that both can be seen to be of one history. Gives the new size.
 */
export async function exportChain(
  directory: string,
  from: number,
  chain: string,
  rows: AsyncIterable<AuditRow>,
  readLeaves: ReadLeaves,
): Promise<number> {
  await mkdir(directory, { recursive: true });
  const [path, unfinished] = [join(directory, SIGNATURES), join(directory, `${SIGNATURES}.unfinished`)];
  await rm(unfinished, { force: true });
  if (from > 0) await copyFile(path, unfinished, constants.COPYFILE_FICLONE);
  const lines = createWriteStream(unfinished, { flags: 'a', mode: 0o600, flush: true });
  const closed = finished(lines);
  closed.catch(() => undefined); // told by the write under way, or below
  let size = from;

  async function* removed(to: number): AsyncGenerator<RemovedEntry> {
    while (size < to) {
      const end = Math.min(size + PAGE, to);
      const leaves = await readLeaves(size + 1, end);
      if (leaves.length !== end - size) throw new Contradiction(`chain ${chain} lacks seq ${size + 1}: verify it`);
      size = end;
      for (const leaf of leaves) yield { leafHash: leaf };
    }
  }

  async function* bodies(): AsyncGenerator<Uint8Array | RemovedEntry> {
    let known = from > 0 ? await lastEntry(directory, from) : undefined;
    for await (const row of rows) {
      if (known !== undefined) {
        // Each event names the hash of the one before it: equal here, they are equal from the first on.
        const same = row.seq === from ? known.equals(row.body) : await isLeaf(known, from);
        if (!same) throw apart(chain, from);
        known = undefined;
        if (row.seq === from) continue;
      }
      yield* removed(row.seq - 1);
      if (row.seq !== size + 1) throw new Contradiction(`chain ${chain} has seq ${row.seq} twice: verify it`);
      size += 1;
      if (!lines.write(`${signatureLine(row)}\n`)) await once(lines, 'drain');
      yield row.body;
    }
  }

  /** The event that the directory ends with may have been removed from the log since. */
  async function isLeaf(body: Buffer, seq: number): Promise<boolean> {
    const [leaf] = await readLeaves(seq, seq);
    return leaf?.equals(leafHash(body)) === true;
  }

  try {
    await Promise.race([writeTiles(directory, bodies(), from), closed.then(() => undefined)]);
  } finally {
    lines.end();
    await closed;
  }
  // Last, because it says how much is there.
  await rename(unfinished, path);
  return size;
}

function signatureLine({ seq, signature, signerId, signMode, batch }: AuditRow): string {
  const place = batch === undefined ? {} : { batch: placeForm(batch) };
  return JSON.stringify({ seq, signature, signerId, signMode, ...place });
}

function apart(chain: string, seq: number): Contradiction {
  return new Contradiction(`seq ${seq} of chain ${chain} is another event in the directory than in the log`);
}
