import type { VerificationKey } from '../crypto/verify.ts';
import type { Trx } from '../storage/database.ts';
import { type Checkpoint, openCheckpoint, parseCheckpoint } from '../transparency/checkpoint.ts';
import { TransparencyError } from '../transparency/errors.ts';
import { parseNote } from '../transparency/note.ts';
import { noteKey } from '../transparency/note-key.ts';
import { rootAt } from '../transparency/proofs.ts';
import { CheckpointError } from './errors.ts';
import { readLog, type StoredNote } from './store.ts';
import { GLOBAL_TREE } from './tiles.ts';
import { storedTree } from './tree-reader.ts';

/** The key of a checkpoint signer of the registry, whatever became of it since. */
export type FindCheckpointKey = (trx: Trx, signerId: string) => Promise<VerificationKey | undefined>;

/** A tree that we know to have signed. */
export interface SignedTree {
  readonly size: number;
  readonly rootHash: Uint8Array;
}

export interface LogState {
  readonly size: number;
  readonly newest: (StoredNote & { readonly checkpoint: Checkpoint }) | undefined;
}

/**
 * The log as it is stored, once its newest note is one of ours and the log still begins with what it says. `signed`: what
 * this process signed last, for a database that was put back to before it. Throws CHECKPOINT_INCONSISTENT.
 */
export async function consistentLog(
  trx: Trx,
  findKey: FindCheckpointKey,
  signed: SignedTree | undefined,
): Promise<LogState> {
  const { size, newest } = await readLog(trx);
  if (signed !== undefined) await requirePrefix(trx, size, signed);
  if (newest === undefined) return { size, newest };
  const checkpoint = await genuine(trx, newest, findKey);
  await requirePrefix(trx, size, checkpoint);
  return { size, newest: { ...newest, checkpoint } };
}

/** The root over the first `at` entries of a log of `size`. */
export async function globalRoot(trx: Trx, size: number, at = size): Promise<Buffer> {
  try {
    return await rootAt(at, storedTree(trx, GLOBAL_TREE, size));
  } catch (error) {
    if (error instanceof TransparencyError) throw inconsistent('the log lacks entries or tiles', error);
    throw error;
  }
}

async function requirePrefix(trx: Trx, size: number, { size: before, rootHash }: SignedTree): Promise<void> {
  if (before > size) throw inconsistent(`the log has ${size} entries, and a note says that it had ${before}`);
  if (!(await globalRoot(trx, size, before)).equals(rootHash)) {
    throw inconsistent(`the first ${before} entries of the log are not those that a note was signed over`);
  }
}

async function genuine(trx: Trx, { size, note, signerId }: StoredNote, findKey: FindCheckpointKey) {
  const key = await findKey(trx, signerId);
  if (key === undefined) throw inconsistent(`the newest note is by ${signerId}, which is no checkpoint signer`);
  try {
    const { origin } = parseCheckpoint(parseNote(note).text);
    const { checkpoint } = openCheckpoint(note, origin, { log: [noteKey(origin, 'ed25519', key)] });
    if (checkpoint.size === size) return checkpoint;
  } catch (error) {
    if (!(error instanceof TransparencyError)) throw error;
    throw inconsistent('the newest note is not one that was signed here', error);
  }
  throw inconsistent('the newest note is stored under another size');
}

function inconsistent(why: string, cause?: unknown): CheckpointError {
  return new CheckpointError('CHECKPOINT_INCONSISTENT', why, cause);
}
