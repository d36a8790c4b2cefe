import { createPublicKey } from 'node:crypto';
import { decodeBase64 } from '../crypto/base64.ts';
import { sha256 } from '../crypto/digest.ts';
import { type VerificationKey, verificationKey } from '../crypto/verify.ts';
import { TransparencyError } from './errors.ts';

/** The assigned signature types that are read here (C2SP signed-note): a note's own, and a witness's with its time. */
const TYPES = { ed25519: 0x01, 'cosignature/v1': 0x04 } as const;
const VERIFIER_KEY = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u;
const UNFIT_FOR_NAME = /[\p{White_Space}+]/u;
const CONTROL = /\p{Cc}/u;
/** The most that the cosignatures of tlog-cosignature can state. */
const MAX_NAME_BYTES = 255;
const KEY_BYTES = 32;

export type NoteKeyType = keyof typeof TYPES;

/** A key whose signatures on notes are believed. Name and key ID together say which key and which type it is. */
export interface NoteKey {
  readonly name: string;
  readonly keyId: number;
  readonly type: NoteKeyType;
  readonly publicKey: VerificationKey;
}

/** The key under `name`; throws MALFORMED for a name that no note can hold and for a key that is not Ed25519. */
export function noteKey(name: string, type: NoteKeyType, publicKey: VerificationKey): NoteKey {
  if (!isKeyName(name) || CONTROL.test(name) || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw malformed('has a name that is empty, too long, or has white space, a plus or a control character in it');
  }
  if (publicKey.algorithm !== 'Ed25519') throw malformed('is not an Ed25519 key');
  const encoded = Buffer.concat([Buffer.from([TYPES[type]]), rawKey(publicKey)]);
  const keyId = sha256(Buffer.concat([Buffer.from(`${name}\n`), encoded])).readUInt32BE();
  return { name, keyId, type, publicKey };
}

/** Reads `name+hash+key`, the form in which logs and witnesses publish their keys. Throws MALFORMED. */
export function parseVerifierKey(text: string): NoteKey {
  const [, name = '', hash = '', encoded = ''] = VERIFIER_KEY.exec(text) ?? [];
  const bytes = decodeBase64(encoded);
  if (bytes?.length !== 1 + KEY_BYTES) throw malformed('is not name+hash+key with an Ed25519 key');
  const type = typeOf(bytes.readUInt8());
  const key = noteKey(name, type, fromRaw(bytes.subarray(1)));
  // The hash is derived, so that a key cannot be put under a name it was not made for by a slip.
  if (hexOf(key.keyId) !== hash) throw malformed('does not have the hash that it states');
  return key;
}

/** The key as `name+hash+key`. */
export function formatVerifierKey({ name, keyId, type, publicKey }: NoteKey): string {
  const encoded = Buffer.concat([Buffer.from([TYPES[type]]), rawKey(publicKey)]);
  return `${name}+${hexOf(keyId)}+${encoded.toString('base64')}`;
}

/** Whether a signature line can hold the name: not empty, no white space of any script, no plus. */
export function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !UNFIT_FOR_NAME.test(name);
}

function typeOf(byte: number): NoteKeyType {
  if (byte === TYPES.ed25519) return 'ed25519';
  if (byte === TYPES['cosignature/v1']) return 'cosignature/v1';
  throw malformed(`is of type ${byte}, which is not read here`);
}

/** The 32 bytes of RFC 8032: the end of the SPKI encoding (RFC 8410 §4). */
function rawKey({ key }: VerificationKey): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES);
}

function fromRaw(raw: Uint8Array): VerificationKey {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(raw).toString('base64url') };
  const pem = createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' });
  return verificationKey('Ed25519', pem.toString());
}

function hexOf(keyId: number): string {
  return keyId.toString(16).padStart(8, '0');
}

function malformed(why: string): TransparencyError {
  return new TransparencyError('MALFORMED', `the verifier key ${why}`);
}
