import { verifySignature } from '../crypto/verify.ts';
import { cosignedMessage, encodeTimestamp } from './cosignature.ts';
import { TransparencyError } from './errors.ts';
import { type NoteSignature, requireNoteText } from './note.ts';
import type { NoteKey } from './note-key.ts';

/** A key that signs notes; where the private half is (a file, a KMS, an HSM) is for `sign` to know. */
export interface NoteSigner {
  readonly key: NoteKey;
  /** The Ed25519 signature over `message`, which must not be hashed first. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** The signature line over `text` by a key of type `ed25519`. It is verified before it is given: a wrong one is never published. */
export async function signNote(text: string, signer: NoteSigner): Promise<NoteSignature> {
  requireType(signer.key, 'ed25519');
  requireNoteText(text);
  const signature = await signed(signer, Buffer.from(text));
  return { name: signer.key.name, keyId: signer.key.keyId, signature };
}

/** A witness's line over the text of a checkpoint it found consistent at `timestamp` (seconds since 1970, not 0). */
export async function cosignNote(text: string, signer: NoteSigner, timestamp: number): Promise<NoteSignature> {
  requireType(signer.key, 'cosignature/v1');
  requireNoteText(text);
  const time = encodeTimestamp(timestamp);
  const signature = await signed(signer, cosignedMessage(text, timestamp));
  return { name: signer.key.name, keyId: signer.key.keyId, signature: Buffer.concat([time, signature]) };
}

async function signed(signer: NoteSigner, message: Uint8Array): Promise<Uint8Array> {
  const { key } = signer;
  const signature = await signer.sign(message);
  if (verifySignature(key.publicKey, message, signature)) return signature;
  throw new TransparencyError('NOTE_SIGNATURE_WRONG', `what was signed for ${key.name} does not verify with its key`);
}

function requireType(key: NoteKey, type: NoteKey['type']): void {
  if (key.type !== type) throw new TransparencyError('MALFORMED', `${key.name} is not a key of type ${type}`);
}
