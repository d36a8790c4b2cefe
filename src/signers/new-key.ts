import type { SignatureAlgorithm } from '../crypto/signer.ts';
import { KeyError, verificationKey } from '../crypto/verify.ts';
import { SignerRegistryError } from './errors.ts';
import { publicKeyPem } from './keys.ts';
import type { SignerPurpose } from './table.ts';

/** The key in its one spelling, so that no second entry can hold it under another. Throws SIGNER_INVALID. */
export function normalizedKey(given: { alg: SignatureAlgorithm; publicKey: string; purpose: SignerPurpose }): string {
  const { alg, publicKey, purpose } = given;
  if (alg === 'HMAC-SHA256') {
    throw new SignerRegistryError('SIGNER_INVALID', 'a shared secret has no public key: it is set by configuration');
  }
  // A note's key line has no other algorithm (C2SP signed-note).
  if (purpose === 'checkpoint' && alg !== 'Ed25519') {
    throw new SignerRegistryError('SIGNER_INVALID', 'checkpoints are signed with Ed25519 alone');
  }
  try {
    const pem = publicKeyPem(verificationKey(alg, publicKey));
    if (pem !== null) return pem;
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    throw new SignerRegistryError('SIGNER_INVALID', error.message, error);
  }
  throw new SignerRegistryError('SIGNER_INVALID', 'not a public key');
}

/** When a signer begins and ends to count. Throws SIGNER_INVALID. */
export function windowOf(given: { notBefore?: string | null | undefined; notAfter?: string | null | undefined }) {
  const notBefore = timeOf(given.notBefore, 'notBefore');
  const notAfter = timeOf(given.notAfter, 'notAfter');
  if (notBefore !== null && notAfter !== null && notAfter <= notBefore) {
    throw new SignerRegistryError('SIGNER_INVALID', 'notAfter is not later than notBefore');
  }
  return { notBefore, notAfter };
}

/** Null when nothing is given. Throws SIGNER_INVALID. */
export function timeOf(text: string | null | undefined, name: string): Date | null {
  if (text === undefined || text === null) return null;
  const time = new Date(text);
  // RFC 3339 knows leap seconds, Date does not.
  if (!Number.isNaN(time.getTime())) return time;
  throw new SignerRegistryError('SIGNER_INVALID', `${name} cannot be represented`);
}
