import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parseCheckpoint } from '../../transparency/checkpoint.ts';
import { TransparencyError } from '../../transparency/errors.ts';
import { parseNote } from '../../transparency/note.ts';
import { VerifyError } from './errors.ts';
import type { LogSource, StoredEntry, StoredNote } from './log-source.ts';
import { bundlesOf } from './tile-directory.ts';

/** The log of checkpoints in a directory of tiles (C2SP tlog-tiles), with the one note in it. */
export async function openTilesLog(directory: string): Promise<LogSource | undefined> {
  const note = await readNote(directory);

  async function* entries(): AsyncGenerator<readonly StoredEntry[]> {
    for await (const { first, entries } of bundlesOf(directory, 0, note?.size ?? 0)) {
      yield (entries ?? []).map((entry, at) => ({ index: first + at, entry }));
    }
  }

  async function* notes(): AsyncGenerator<StoredNote> {
    if (note !== undefined) yield note;
  }

  if (note !== undefined) return { entries, notes };
  for await (const page of entries()) if (page.length > 0) return { entries, notes };
  return undefined;
}

async function readNote(directory: string): Promise<StoredNote | undefined> {
  const path = join(directory, 'checkpoint');
  let note: string;
  try {
    note = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new VerifyError('UNREADABLE', `cannot read ${path}`, cause);
  }
  try {
    // Its size only says where it belongs; whether it is signed, and fits, is for the check.
    return { size: parseCheckpoint(parseNote(note).text).size, note };
  } catch (cause) {
    if (!(cause instanceof TransparencyError)) throw cause;
    throw new VerifyError('UNREADABLE', `${path} is no checkpoint: ${cause.message}`, cause);
  }
}
