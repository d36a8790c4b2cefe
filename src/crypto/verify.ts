import {
  constants,
  createHmac,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
  type VerifyKeyObjectInput,
  verify,
} from 'node:crypto';
import { CodedError } from '../errors.ts';
import { isLowSDer } from './ecdsa.ts';
import type { SignatureAlgorithm } from './signer.ts';

const ED25519_BYTES = 64;
/** The salt is as long as the digest, as KMS makes it (RFC 8017 §9.1). */
const PSS_SALT_BYTES = 32;
/** As long as the digest: a shorter HMAC secret is weaker than the hash (RFC 2104 §3). */
const MIN_SECRET_BYTES = 32;
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;
/** A small exponent (1 above all) lets anyone forge. */
const MIN_RSA_EXPONENT = 65_537n;
const SPKI_PEM = /^\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/;

export interface VerificationKey {
  readonly algorithm: SignatureAlgorithm;
  readonly key: KeyObject;
}

/** A key does not fit the algorithm it is registered for. */
export class KeyError extends CodedError {
  readonly code = 'KEY_UNSUITABLE';
}

/**
 * A key bound to the one algorithm it may be used with. `material` is SPKI PEM text, or the secret's bytes for HMAC.
 * Throws KeyError when type, curve or size does not fit, or a private key is given.
 */
export function verificationKey(algorithm: SignatureAlgorithm, material: string | Uint8Array): VerificationKey {
  if (algorithm === 'HMAC-SHA256') return { algorithm, key: secretKey(material) };
  const key = publicKey(material);
  const problem = unsuitable(algorithm, key);
  if (problem !== undefined) throw new KeyError(`${algorithm}: ${problem}`);
  return { algorithm, key };
}

/** Whether `signature` is one over `data` by `key`, in its one accepted spelling. Never throws. */
export function verifySignature(key: VerificationKey, data: Uint8Array, signature: Uint8Array): boolean {
  if (key.algorithm === 'HMAC-SHA256') return verifyHmac(key, data, signature);
  if (!wellFormed(key, signature)) return false;
  try {
    return verify(hashOf(key), data, keyInput(key), signature);
  } catch {
    return false; // an error of the library means one thing: not verified
  }
}

/** As verifySignature, on the thread pool: for many signatures at once. Never rejects. */
export function verifySignatureAsync(key: VerificationKey, data: Uint8Array, signature: Uint8Array): Promise<boolean> {
  if (key.algorithm === 'HMAC-SHA256') return Promise.resolve(verifyHmac(key, data, signature));
  if (!wellFormed(key, signature)) return Promise.resolve(false);
  return new Promise((resolve) => {
    try {
      verify(hashOf(key), data, keyInput(key), signature, (error, valid) => resolve(error === null && valid));
    } catch {
      resolve(false);
    }
  });
}

function secretKey(material: string | Uint8Array): KeyObject {
  // Text is refused: a public key's PEM taken for an HMAC secret is the classic algorithm confusion.
  if (typeof material === 'string') throw new KeyError('HMAC-SHA256: the secret must be bytes');
  if (material.length < MIN_SECRET_BYTES)
    throw new KeyError(`HMAC-SHA256: the secret must be ${MIN_SECRET_BYTES} bytes`);
  return createSecretKey(material);
}

function publicKey(material: string | Uint8Array): KeyObject {
  // createPublicKey would accept a private key, too, and that must never lie in a registry.
  if (typeof material !== 'string' || !SPKI_PEM.test(material)) throw new KeyError('not one SPKI public key in PEM');
  try {
    return createPublicKey({ key: material, format: 'pem', type: 'spki' });
  } catch (cause) {
    throw new KeyError('not a readable public key', { cause });
  }
}

function unsuitable(algorithm: Exclude<SignatureAlgorithm, 'HMAC-SHA256'>, key: KeyObject): string | undefined {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  switch (algorithm) {
    case 'Ed25519':
      return key.asymmetricKeyType === 'ed25519' ? undefined : 'not an Ed25519 key';
    case 'ECDSA-P256-SHA256':
      return key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1' ? undefined : 'not a key on curve P-256';
    case 'RSA-PSS-SHA256':
      if (key.asymmetricKeyType !== 'rsa') return 'not an RSA key';
      if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) {
        return `the modulus must be ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits`;
      }
      return publicExponent < MIN_RSA_EXPONENT || publicExponent % 2n === 0n
        ? 'the public exponent is unsafe'
        : undefined;
  }
}

function verifyHmac({ key }: VerificationKey, data: Uint8Array, signature: Uint8Array): boolean {
  const expected = createHmac('sha256', key).update(data).digest();
  return signature.length === expected.length && timingSafeEqual(expected, signature);
}

/** Length and encoding, before the library: it takes more than one spelling of the same signature. */
function wellFormed({ algorithm, key }: VerificationKey, signature: Uint8Array): boolean {
  switch (algorithm) {
    case 'Ed25519':
      return signature.length === ED25519_BYTES;
    case 'ECDSA-P256-SHA256':
      return isLowSDer(signature);
    case 'RSA-PSS-SHA256':
      return signature.length === Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
    case 'HMAC-SHA256':
      return false;
  }
}

function hashOf({ algorithm }: VerificationKey): string | null {
  return algorithm === 'Ed25519' ? null : 'sha256';
}

function keyInput({ algorithm, key }: VerificationKey): KeyObject | VerifyKeyObjectInput {
  // Bare: looking into an options object costs a sixth of an Ed25519 verification.
  if (algorithm === 'Ed25519') return key;
  if (algorithm !== 'RSA-PSS-SHA256') return { key, dsaEncoding: 'der' };
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: PSS_SALT_BYTES };
}
