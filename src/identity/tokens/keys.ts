import { createPublicKey, type KeyObject } from 'node:crypto';

const MIN_RSA_BITS = 2048;
/** Keys of one issuer; more are none that somebody rotates. */
const MAX_KEYS = 100;

/** A public key of an issuer. */
export interface TrustedKey {
  readonly kid: string;
  /** Its JWK, to see whether a later list still has the same one. */
  readonly identity: string;
  readonly key: KeyObject;
  /** The one algorithm it is for; undefined: any that it can do. */
  readonly alg: string | undefined;
  /** False once the issuer has taken it back. */
  inForce: boolean;
}

/** What a key of each algorithm is (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864). */
const CURVES: Readonly<Record<string, string | undefined>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** The keys of a JWK set that can verify signatures; undefined when it is none. What is not understood is passed over. */
export function readKeys(document: unknown): readonly TrustedKey[] | undefined {
  const list = isRecord(document) ? document['keys'] : undefined;
  if (!Array.isArray(list) || list.length > MAX_KEYS) return undefined;
  return list.flatMap((jwk) => (isRecord(jwk) ? (readKey(jwk) ?? []) : []));
}

/** True for a key that `alg` can use: the key decides, so that an RSA key is never taken for a shared secret. */
export function suits({ key, alg: only }: TrustedKey, alg: string): boolean {
  if (only !== undefined && only !== alg) return false;
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key;
  if (alg.startsWith('RS') || alg.startsWith('PS')) {
    return type === 'rsa' && (details.modulusLength ?? 0) >= MIN_RSA_BITS;
  }
  if (alg === 'EdDSA' || alg === 'Ed25519') return type === 'ed25519';
  return type === 'ec' && CURVES[alg] !== undefined && CURVES[alg] === key.export({ format: 'jwk' }).crv;
}

function readKey(jwk: Readonly<Record<string, unknown>>): TrustedKey | undefined {
  const { kid, alg, use, key_ops: operations, kty } = jwk;
  if (typeof kid !== 'string' || kid === '') return undefined;
  if (use !== undefined && use !== 'sig') return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined;
  if (alg !== undefined && typeof alg !== 'string') return undefined;
  // A private key that is public is nobody's; one of type `oct` is a secret that is none.
  if (jwk['d'] !== undefined || (kty !== 'RSA' && kty !== 'EC' && kty !== 'OKP')) return undefined;
  try {
    const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
    return { kid, identity: JSON.stringify(key.export({ format: 'jwk' })), key, alg, inForce: true };
  } catch {
    // A curve or type that is not known here: the others count all the same.
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
