import { timestamp } from '../clock.ts';
import { readOfSystem } from '../signers/registry-file.ts';
import { parseCheckpoint } from '../transparency/checkpoint.ts';
import { parseNote } from '../transparency/note.ts';
import { readNewestNote } from './store.ts';

/** The newest note of a database, read with any login that may; undefined when there is none. Nothing of it is verified. */
export async function newestNoteOfDatabase(url: string) {
  const newest = await readOfSystem(url, readNewestNote);
  if (newest === undefined) return undefined;
  const { note, signerId, createdAt } = newest;
  const { origin, size, rootHash } = parseCheckpoint(parseNote(note).text);
  const root = Buffer.from(rootHash).toString('base64');
  return { origin, size, root, signerId, createdAt: timestamp(createdAt.getTime()), note };
}
