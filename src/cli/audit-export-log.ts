import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { GrowingTree } from '../audit/verify/growing-tree.ts';
import type { LogSource, StoredNote } from '../audit/verify/log-source.ts';
import { type Checkpoint, parseCheckpoint } from '../transparency/checkpoint.ts';
import { leafHash } from '../transparency/merkle.ts';
import { parseNote } from '../transparency/note.ts';
import { writeTiles } from '../transparency/tile-writer.ts';
import { writeWhole } from './audit-export-whole.ts';
import { Contradiction, isAbsent } from './tile-export-state.ts';

const CHECKPOINT = 'checkpoint';

/** Writes the log of checkpoints up to its newest note, and the note last. Gives its size; 0 while there is no note. */
export async function exportCheckpoints(directory: string, log: LogSource): Promise<number> {
  const newest = await newestNote(log);
  const known = await storedCheckpoint(directory);
  if (newest === undefined) {
    if (known === undefined) return 0;
    throw new Contradiction('the directory has a checkpoint, the log has none');
  }
  if (known !== undefined && known.size > newest.size) {
    throw new Contradiction(`the directory has a checkpoint over ${known.size} entries, the log's newest is over less`);
  }
  const from = known?.size ?? 0;
  const tree = new GrowingTree();

  async function* entries(): AsyncGenerator<Uint8Array> {
    for await (const page of log.entries()) {
      for (const { index, entry } of page) {
        if (index >= (newest?.size ?? 0)) return;
        if (index !== tree.size) throw new Contradiction(`the log of checkpoints lacks entry ${tree.size}: verify it`);
        if (index === from) requireRoot(tree, known);
        tree.add(leafHash(entry));
        if (index >= from) yield entry;
      }
    }
  }

  await writeTiles(directory, entries(), from);
  if (tree.size === from) requireRoot(tree, known);
  requireRoot(tree, parseCheckpoint(parseNote(newest.note).text));
  await writeWhole(join(directory, CHECKPOINT), newest.note);
  return newest.size;
}

function requireRoot(tree: GrowingTree, checkpoint: Checkpoint | undefined): void {
  if (checkpoint === undefined) return;
  if (tree.size === checkpoint.size && tree.root().equals(checkpoint.rootHash)) return;
  throw new Contradiction(`the log of checkpoints is not the one of the checkpoint over ${checkpoint.size} entries`);
}

async function newestNote(log: LogSource): Promise<StoredNote | undefined> {
  let newest: StoredNote | undefined;
  for await (const note of log.notes()) newest = note;
  return newest;
}

async function storedCheckpoint(directory: string): Promise<Checkpoint | undefined> {
  try {
    return parseCheckpoint(parseNote(await readFile(join(directory, CHECKPOINT))).text);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
