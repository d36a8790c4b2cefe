import { decodeBase64 } from '../crypto/base64.ts';
import { TransparencyError } from './errors.ts';
import { isKeyName } from './note-key.ts';

/** As golang.org/x/mod/sumdb/note has them, so that whatever it opens is not too large here; C2SP asks for 16 at least. */
const MAX_NOTE_BYTES = 1_000_000;
const MAX_SIGNATURES = 100;
const KEY_ID_BYTES = 4;
// U+0000 to U+001F but for the line feed.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\0-\x09\x0b-\x1f]/;
const SIGNATURE_LINE = /^— ([^ ]+) ([A-Za-z0-9+/=]+)$/u;

/** One signature line: who is said to have signed, with which key, and the bytes. Nothing of it is verified. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  readonly signature: Uint8Array;
}

/** A signed note (C2SP signed-note). `text` ends with a line feed; it must not be trusted before `openNote`. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** The note in exactly these bytes. Throws MALFORMED. */
export function parseNote(data: Uint8Array | string): Note {
  const note = decodeText(data);
  // The last empty line: the text may have empty lines of its own.
  const split = note.lastIndexOf('\n\n');
  if (split === -1) throw malformed('has no empty line before its signatures');
  return { text: note.slice(0, split + 1), signatures: parseSignatureLines(note.slice(split + 2)) };
}

/** The note as text, that `parseNote` reads back. Throws MALFORMED where it would not. */
export function formatNote({ text, signatures }: Note): string {
  requireNoteText(text);
  const note = `${text}\n${signatures.map(formatSignatureLine).join('')}`;
  parseNote(note);
  return note;
}

/** One line with its line feed. */
export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  if (!isKeyName(name)) throw malformed('names a key in a way that cannot be written');
  if (signature.length === 0) throw malformed('has an empty signature');
  const id = Buffer.alloc(KEY_ID_BYTES);
  id.writeUInt32BE(keyId);
  return `— ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

/** Signature lines, at least one, each ended by a line feed: the end of a note, and the answer of a witness. */
export function parseSignatureLines(data: Uint8Array | string): NoteSignature[] {
  const lines = decodeText(data).split('\n');
  if (lines.pop() !== '' || lines.length === 0) throw malformed('does not end with signature lines');
  if (lines.length > MAX_SIGNATURES) throw malformed('has too many signatures');
  return lines.map(parseSignatureLine);
}

/** Throws MALFORMED unless `text` may be the text of a note. */
export function requireNoteText(text: string): void {
  if (decodeText(text).at(-1) !== '\n') throw malformed('text does not end with a line feed');
}

/** Bounded, well-formed UTF-8 without control characters: what is signed is what everyone sees. */
export function decodeText(data: Uint8Array | string): string {
  const size = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
  if (size > MAX_NOTE_BYTES) throw malformed('is too large');
  const text = typeof data === 'string' ? data : decodeUtf8(data);
  if (!text.isWellFormed() || CONTROL.test(text)) throw malformed('is not UTF-8 without control characters');
  return text;
}

function decodeUtf8(data: Uint8Array): string {
  try {
    // A byte order mark is part of the signed bytes, so it must not be dropped.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch (cause) {
    throw malformed('is not UTF-8', cause);
  }
}

function parseSignatureLine(line: string): NoteSignature {
  const [, name = '', encoded = ''] = SIGNATURE_LINE.exec(line) ?? [];
  const bytes = decodeBase64(encoded);
  if (!isKeyName(name) || bytes === undefined || bytes.length <= KEY_ID_BYTES) {
    throw malformed('has a line that is no signature');
  }
  return { name, keyId: bytes.readUInt32BE(), signature: bytes.subarray(KEY_ID_BYTES) };
}

function malformed(why: string, cause?: unknown): TransparencyError {
  return new TransparencyError('MALFORMED', `the note ${why}`, cause);
}
