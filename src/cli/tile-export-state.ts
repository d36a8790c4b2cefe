import { join } from 'node:path';

import { linesOf } from '../audit/verify/lines.ts';
import { readBundle } from '../transparency/tile-files.ts';
import { tileAt } from '../transparency/tile-path.ts';

/** What the directory holds and what the log has cannot both be true. */
export class Contradiction extends Error {}

/** Up to which seq a chain was exported whole: its signatures are put in place last. */
export async function storedSize(directory: string): Promise<number> {
  let last: Buffer | undefined;
  try {
    for await (const line of linesOf(join(directory, SIGNATURES))) if (line.length > 0) last = Buffer.from(line);
  } catch (error) {
    if (isAbsent(error)) return 0;
    throw error;
  }
  return last === undefined ? 0 : seqIn(last);
}

function seqIn(line: Buffer): number {
  const parsed: unknown = JSON.parse(line.toString('utf8'));
  const seq = typeof parsed === 'object' && parsed !== null && 'seq' in parsed ? parsed.seq : undefined;
  if (typeof seq === 'number' && Number.isSafeInteger(seq) && seq > 0) return seq;
  throw new Contradiction('the last line of the signatures in the directory is none');
}

export const SIGNATURES = 'signatures.jsonl';

/** The last of the first `size` entries of a tree in a directory. */
export async function lastEntry(directory: string, size: number): Promise<Buffer | undefined> {
  return (await readBundle(directory, tileAt('entries', size - 1, size))).at(-1);
}

/** Whether the file, or the one that the error is about, is not there. */
export function isAbsent(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && error.code === 'ENOENT') || isAbsent(error.cause);
}
