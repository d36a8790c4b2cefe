import { createHash, createPublicKey, type JsonWebKey } from 'node:crypto';
import { fromP1363, toP1363 } from '../../../crypto/ecdsa.ts';
import type { Mechanism } from './cryptoki.ts';
import { type TokenAlgorithm, TokenFailure, type TokenPublicKey } from './messages.ts';

// Values of PKCS#11 3.0 (pkcs11t.h).
const CKK_RSA = 0x00;
const CKK_EC = 0x03;
const CKK_EC_EDWARDS = 0x40;
const CKM_RSA_PKCS_PSS = 0x0d;
const CKM_SHA256 = 0x250;
const CKM_ECDSA = 0x1041;
const CKM_EDDSA = 0x1057;
const CKG_MGF1_SHA256 = 0x02;
/** Of pkcs11js: which structure the parameter is. */
const CK_PARAMS_RSA_PSS = 5;

const PSS_SALT_BYTES = 32;
const ED25519_BYTES = 32;
const P256_POINT_BYTES = 65;
const UNCOMPRESSED = 0x04;
const OCTET_STRING = 0x04;
/** OBJECT IDENTIFIER prime256v1. */
const P256_PARAMS = '06082a8648ce3d030107';

const MECHANISMS: Readonly<Record<TokenAlgorithm, Mechanism>> = {
  Ed25519: { mechanism: CKM_EDDSA },
  'ECDSA-P256-SHA256': { mechanism: CKM_ECDSA },
  'RSA-PSS-SHA256': {
    mechanism: CKM_RSA_PKCS_PSS,
    parameter: { type: CK_PARAMS_RSA_PSS, hashAlg: CKM_SHA256, mgf: CKG_MGF1_SHA256, saltLen: PSS_SALT_BYTES },
  },
};

/** The attributes of a public key that its kind has. */
export interface PublicAttributes {
  readonly keyType: number;
  readonly ecParams: Buffer | undefined;
  readonly ecPoint: Buffer | undefined;
  readonly modulus: Buffer | undefined;
  readonly publicExponent: Buffer | undefined;
}

export function mechanismOf(algorithm: TokenAlgorithm): Mechanism {
  return MECHANISMS[algorithm];
}

/** What the token is given: these mechanisms of RSA and ECDSA sign a digest, so the data never leaves this machine. */
export function inputOf(algorithm: TokenAlgorithm, data: Uint8Array): Buffer {
  return algorithm === 'Ed25519' ? Buffer.from(data) : createHash('sha256').update(data).digest();
}

/** The signature as it is stored, from the token's; `refused` when it cannot be one. */
export function signatureFrom(algorithm: TokenAlgorithm, raw: Buffer): Buffer {
  if (algorithm !== 'ECDSA-P256-SHA256') return raw;
  const der = fromP1363(raw);
  if (der === undefined) throw new TokenFailure('refused', 'C_Sign: not a P-256 signature');
  return der;
}

/** The signature as the token takes it; undefined for what is none. */
export function signatureFor(algorithm: TokenAlgorithm, signature: Uint8Array): Buffer | undefined {
  return algorithm === 'ECDSA-P256-SHA256' ? toP1363(signature) : Buffer.from(signature);
}

/** The key with the one algorithm it signs with here; `unsuitable` for any other kind of key. */
export function publicKeyOf(attributes: PublicAttributes): TokenPublicKey {
  const { algorithm, jwk } = read(attributes);
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return { algorithm, publicKey: key.export({ type: 'spki', format: 'pem' }).toString() };
  } catch {
    throw new TokenFailure('unsuitable', 'the public key in the token is not readable');
  }
}

function read(attributes: PublicAttributes): { algorithm: TokenAlgorithm; jwk: JsonWebKey } {
  const { keyType, ecParams, modulus, publicExponent } = attributes;
  if (keyType === CKK_RSA && modulus !== undefined && publicExponent !== undefined) {
    return { algorithm: 'RSA-PSS-SHA256', jwk: { kty: 'RSA', n: base64url(modulus), e: base64url(publicExponent) } };
  }
  if (keyType === CKK_EC_EDWARDS) {
    const point = pointOf(attributes, ED25519_BYTES);
    if (point !== undefined) {
      return { algorithm: 'Ed25519', jwk: { kty: 'OKP', crv: 'Ed25519', x: base64url(point) } };
    }
  }
  if (keyType === CKK_EC && ecParams?.toString('hex') === P256_PARAMS) {
    const point = pointOf(attributes, P256_POINT_BYTES);
    if (point?.[0] === UNCOMPRESSED) {
      const [x, y] = [base64url(point.subarray(1, 33)), base64url(point.subarray(33))];
      return { algorithm: 'ECDSA-P256-SHA256', jwk: { kty: 'EC', crv: 'P-256', x, y } };
    }
  }
  throw new TokenFailure('unsuitable', `not an Ed25519, P-256 or RSA key (key type ${keyType})`);
}

/** CKA_EC_POINT is a DER OCTET STRING; there are modules that give its content. */
function pointOf({ ecPoint }: PublicAttributes, length: number): Buffer | undefined {
  if (ecPoint?.length === length) return ecPoint;
  const isWrapped = ecPoint?.length === length + 2 && ecPoint[0] === OCTET_STRING && ecPoint[1] === length;
  return isWrapped ? ecPoint.subarray(2) : undefined;
}

function base64url(bytes: Buffer): string {
  return bytes.toString('base64url');
}
