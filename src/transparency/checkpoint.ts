import { decodeBase64 } from '../crypto/base64.ts';
import { TransparencyError } from './errors.ts';
import { emptyRoot, isHash } from './merkle.ts';
import { decodeText } from './note.ts';
import type { NoteKey } from './note-key.ts';
import { type OpenedNote, openNote } from './open-note.ts';
import { isSize } from './tree-nodes.ts';

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

/** What a log says of its tree (C2SP tlog-checkpoint). */
export interface Checkpoint {
  /** Which log it is; one line. */
  readonly origin: string;
  readonly size: number;
  readonly rootHash: Uint8Array;
  /** Further lines, opaque to others and best left empty. */
  readonly extensions?: readonly string[];
}

export interface CheckpointKeys {
  /** The log's own; at least one of them must have signed. */
  readonly log: readonly NoteKey[];
  readonly witnesses?: readonly NoteKey[];
}

export interface OpenedCheckpoint extends OpenedNote {
  readonly checkpoint: Required<Checkpoint>;
}

/** The text to be signed. Throws MALFORMED for what `parseCheckpoint` would not read back. */
export function formatCheckpoint({ origin, size, rootHash, extensions = [] }: Checkpoint): string {
  const root = Buffer.from(rootHash).toString('base64');
  const text = [origin, `${size}`, root, ...extensions].map((line) => `${line}\n`).join('');
  const read = parseCheckpoint(text);
  // A line break inside a line would make two of it.
  if (read.extensions.length !== extensions.length) throw malformed('has a line break in a line');
  return text;
}

/** The checkpoint in the text of a note. Nothing is verified: see `openCheckpoint`. Throws MALFORMED. */
export function parseCheckpoint(text: string): Required<Checkpoint> {
  const lines = decodeText(text).split('\n');
  if (lines.pop() !== '' || lines.includes('')) throw malformed('is not of lines that all have something in them');
  const [origin, sizeLine, root, ...extensions] = lines;
  if (origin === undefined || sizeLine === undefined || root === undefined)
    throw malformed('has fewer than three lines');
  const size = parseSize(sizeLine);
  const rootHash = decodeBase64(root);
  if (size === undefined) throw malformed('states a size that is no exact decimal');
  if (!isHash(rootHash)) throw malformed('has a root that is no hash in base64');
  if (size === 0 && !emptyRoot().equals(rootHash)) throw malformed('is of an empty tree with the root of another');
  return { origin, size, rootHash, extensions };
}

/**
 * The checkpoint of the log `origin`, signed by one of its keys and, where keys of witnesses are given, with what they say in
 * `verified`. How many witnesses are enough is for the caller.
 */
export function openCheckpoint(data: Uint8Array | string, origin: string, keys: CheckpointKeys): OpenedCheckpoint {
  const { log, witnesses = [] } = keys;
  if (log.some(({ type }) => type !== 'ed25519') || witnesses.some(({ type }) => type !== 'cosignature/v1')) {
    throw new TransparencyError('MALFORMED', 'a log signs with keys of type ed25519, a witness with cosignature/v1');
  }
  const note = openNote(data, [...log, ...witnesses]);
  // A witness vouches for what it saw; only the log says that it is its own.
  if (!note.verified.some(({ key }) => log.includes(key))) {
    throw new TransparencyError('NOTE_UNSIGNED', 'the checkpoint is not signed by the log');
  }
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== origin) throw malformed('is of another log');
  return { ...note, checkpoint };
}

/** A tree size in ASCII decimal without leading zeros, or nothing. */
export function parseSize(text: string): number | undefined {
  const size = DECIMAL.test(text) ? Number(text) : undefined;
  return isSize(size) ? size : undefined;
}

function malformed(why: string): TransparencyError {
  return new TransparencyError('MALFORMED', `the checkpoint ${why}`);
}
