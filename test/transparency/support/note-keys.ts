import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { verificationKey } from '../../../src/crypto/verify.ts';
import { type NoteKeyType, noteKey } from '../../../src/transparency/note-key.ts';
import type { NoteSigner } from '../../../src/transparency/sign-note.ts';

/** A signer of notes with a new key, and its private half for tests that sign something else with it. */
export function newNoteSigner(name: string, type: NoteKeyType): NoteSigner & { readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
  return {
    key: noteKey(name, type, verificationKey('Ed25519', pem)),
    sign: async (message) => sign(null, message, privateKey),
    privateKey,
  };
}
