import { verifySignature } from '../crypto/verify.ts';
import { cosignedMessage, splitCosignature } from './cosignature.ts';
import { TransparencyError } from './errors.ts';
import { type Note, type NoteSignature, parseNote } from './note.ts';
import type { NoteKey } from './note-key.ts';

/** A signature that holds. */
export interface VerifiedSignature {
  readonly key: NoteKey;
  readonly line: NoteSignature;
  /** When the witness saw the checkpoint, in seconds since 1970; only of cosignatures. How old it may be is for the caller. */
  readonly timestamp?: number;
}

export interface OpenedNote {
  readonly text: string;
  /** One for each key that signed, the first of its lines; there is at least one. */
  readonly verified: readonly VerifiedSignature[];
  /** Lines of keys that were not asked for: they say nothing. */
  readonly unknown: readonly NoteSignature[];
}

/**
 * The text, once at least one of `keys` has signed it (else NOTE_UNSIGNED). A line that names one of them and does not verify
 * fails the whole note (NOTE_SIGNATURE_WRONG): its sender claims what is not so.
 */
export function openNote(data: Uint8Array | string, keys: readonly NoteKey[]): OpenedNote {
  const note = parseNote(data);
  const { verified, unknown } = verifyLines(note, keys);
  if (verified.length === 0) throw new TransparencyError('NOTE_UNSIGNED', 'the note has no signature by a known key');
  return { text: note.text, verified, unknown };
}

/** What `openNote` does with the lines; here there may be none that is known. */
export function verifyLines(
  { text, signatures }: Note,
  keys: readonly NoteKey[],
): Pick<OpenedNote, 'verified' | 'unknown'> {
  const known = byNameAndId(keys);
  const verified = new Map<NoteKey, VerifiedSignature>();
  const unknown: NoteSignature[] = [];
  for (const line of signatures) {
    const key = known.get(labelOf(line));
    if (key === undefined) {
      unknown.push(line);
      continue;
    }
    const found = verifyLine(text, line, key);
    // Every line is verified, but a key counts once, or one witness could make up a quorum.
    if (!verified.has(key)) verified.set(key, found);
  }
  return { verified: [...verified.values()], unknown };
}

function verifyLine(text: string, line: NoteSignature, key: NoteKey): VerifiedSignature {
  if (key.type === 'ed25519') {
    if (verifySignature(key.publicKey, Buffer.from(text), line.signature)) return { key, line };
  } else {
    const parts = splitCosignature(line.signature);
    if (parts && verifySignature(key.publicKey, cosignedMessage(text, parts.timestamp), parts.signature)) {
      return { key, line, timestamp: parts.timestamp };
    }
  }
  throw new TransparencyError('NOTE_SIGNATURE_WRONG', `the signature of ${key.name} does not verify`);
}

function byNameAndId(keys: readonly NoteKey[]): Map<string, NoteKey> {
  const known = new Map(keys.map((key) => [labelOf(key), key]));
  // Which of two would verify is not to be guessed; the ID is only 32 bits.
  if (known.size !== keys.length) throw new TransparencyError('MALFORMED', 'two known keys share name and key ID');
  return known;
}

/** A name holds no plus. */
function labelOf({ name, keyId }: { readonly name: string; readonly keyId: number }): string {
  return `${name}+${keyId}`;
}
