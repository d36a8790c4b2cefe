import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parseCheckpoint } from '../../transparency/checkpoint.ts';
import { parseNote } from '../../transparency/note.ts';
import { CheckpointError } from '../errors.ts';
import type { Sink } from './sink.ts';

/**
 * A directory, best on a disk that the operator of the database cannot write to: `checkpoint` is the newest note and
 * `notes/<size>` every one. What is there is compared first: a log that is shorter, or another, is not written over it.
 */
export function fileSink(directory: string): Sink {
  return {
    name: 'file',
    deliver: async ({ size, note }) => {
      const newest = join(directory, 'checkpoint');
      const bySize = join(directory, 'notes', `${size}`);
      await mkdir(join(directory, 'notes'), { recursive: true });
      const last = await readIfThere(newest);
      if (last !== undefined && sizeOf(last) > size) {
        // Another replica was faster, or the log is not the one that was published: only its own size can tell.
        const same = await readIfThere(bySize);
        if (same !== undefined && textOf(same) === textOf(note)) return;
        throw new CheckpointError('SINK_FAILED', `${newest} is of a log with more entries`);
      }
      await keep(bySize, note);
      await keep(newest, note);
    },
  };
}

/** Writes the file whole or not at all. One of the same size must say the same; lines of witnesses are never lost. */
async function keep(path: string, note: string): Promise<void> {
  const there = await readIfThere(path);
  if (there !== undefined && sizeOf(there) === sizeOf(note)) {
    if (textOf(there) !== textOf(note)) {
      throw new CheckpointError('SINK_FAILED', `${path} says something else of a log with as many entries`);
    }
    if (there.startsWith(note)) return;
  }
  const unfinished = `${path}.${randomUUID()}`;
  try {
    await writeFile(unfinished, note, { flag: 'wx', flush: true });
    await rename(unfinished, path);
  } finally {
    await rm(unfinished, { force: true });
  }
}

function textOf(note: string): string {
  return parseNote(note).text;
}

function sizeOf(note: string): number {
  return parseCheckpoint(textOf(note)).size;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
