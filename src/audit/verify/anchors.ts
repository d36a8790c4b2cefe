import { readFile } from 'node:fs/promises';

import { type OpenedCheckpoint, openCheckpoint, parseCheckpoint } from '../../transparency/checkpoint.ts';
import { parseNote } from '../../transparency/note.ts';
import { type NoteKey, parseVerifierKey } from '../../transparency/note-key.ts';
import { VerifyError } from './errors.ts';
import { registeredNoteKeys } from './note-keys.ts';
import type { Registry } from './registry.ts';

/** A checkpoint from outside whose signature was found good; whether the log fits it is not known yet. */
export interface Anchor {
  readonly path: string;
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
  /** Names of the witnesses whose cosignatures hold. */
  readonly witnesses: readonly string[];
  /** Its key came from outside, too, and names the log: the log's own word about its origin is not needed. */
  readonly keyed: boolean;
}

export interface AnchorOptions {
  readonly paths: readonly string[];
  /** `name+hash+key`; none: the registry's signers of purpose checkpoint. */
  readonly checkpointKeys: readonly string[];
  readonly witnessKeys: readonly string[];
}

/** Opens the notes. Throws VerifyError: UNREADABLE for no file, CHECKPOINT for a note that vouches for nothing. */
export async function openAnchors(options: AnchorOptions, registry: Registry): Promise<Anchor[]> {
  const given = options.checkpointKeys.map(parseVerifierKey);
  const witnesses = options.witnessKeys.map(parseVerifierKey);
  return Promise.all(
    options.paths.map(async (path) => {
      const data = await readNote(path);
      try {
        return anchorOf(path, data, { given, witnesses, registry });
      } catch (cause) {
        throw new VerifyError('CHECKPOINT', `the checkpoint ${path} cannot be relied on: ${messageOf(cause)}`, cause);
      }
    }),
  );
}

function anchorOf(
  path: string,
  data: Buffer,
  keys: { given: readonly NoteKey[]; witnesses: readonly NoteKey[]; registry: Registry },
): Anchor {
  const { origin } = parseCheckpoint(parseNote(data).text);
  const keyed = keys.given.length > 0;
  const log = keyed
    ? keys.given.filter(({ name }) => name === origin)
    : registeredNoteKeys(keys.registry, origin, 'vouching');
  if (log.length === 0) {
    const names = keys.given.map(({ name }) => name).join(', ');
    throw new Error(keyed ? `it is of the log ${origin}, not of ${names}` : 'no signer of checkpoints is registered');
  }
  const opened = openCheckpoint(data, origin, { log, witnesses: keys.witnesses });
  const { size, rootHash } = opened.checkpoint;
  return { path, origin, size, root: Buffer.from(rootHash), witnesses: witnessesOf(opened), keyed };
}

function witnessesOf({ verified }: OpenedCheckpoint): string[] {
  return verified.filter(({ key }) => key.type === 'cosignature/v1').map(({ key }) => key.name);
}

async function readNote(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new VerifyError('UNREADABLE', `cannot read the checkpoint ${path}`, cause);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'failed';
}
