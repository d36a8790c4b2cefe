import type { KeyObject } from 'node:crypto';

import type { Algorithm } from './registry.ts';

/** Order of the P-256 group (SEC 2 §2.4.2). */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const ED25519_BYTES = 64;
const HMAC_BYTES = 32;

/** Whether `signature` is spelt in the one way accepted for the algorithm: libraries take more than one. */
export function hasShape(alg: Algorithm, key: KeyObject, signature: Buffer): boolean {
  switch (alg) {
    case 'Ed25519':
      return signature.length === ED25519_BYTES;
    case 'ECDSA-P256-SHA256': {
      const pair = derPair(signature);
      return pair !== undefined && pair.s <= P256_ORDER / 2n;
    }
    case 'RSA-PSS-SHA256':
      return signature.length === modulusBytes(key);
    case 'HMAC-SHA256':
      return signature.length === HMAC_BYTES;
  }
}

/** Whether the length or encoding is one that only another algorithm than `alg` makes. */
export function looksForeign(alg: Algorithm, signature: Buffer): boolean {
  const { length } = signature;
  const shapes: [Algorithm, boolean][] = [
    ['Ed25519', length === ED25519_BYTES],
    ['HMAC-SHA256', length === HMAC_BYTES],
    ['RSA-PSS-SHA256', length >= 256 && length % 64 === 0],
    ['ECDSA-P256-SHA256', derPair(signature) !== undefined],
  ];
  return !shapes.some(([name, fits]) => name === alg && fits) && shapes.some(([, fits]) => fits);
}

function modulusBytes(key: KeyObject): number {
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
}

/** r and s of strict DER: SEQUENCE of two minimal positive INTEGERs below the order, nothing after them. */
function derPair(der: Buffer): { r: bigint; s: bigint } | undefined {
  if (der.length < 8 || der.length > 72 || der[0] !== 0x30 || der[1] !== der.length - 2) return undefined;
  const rLength = der[3] ?? 0;
  const r = derInteger(der.subarray(2, 4 + rLength));
  const s = derInteger(der.subarray(4 + rLength));
  return r === undefined || s === undefined ? undefined : { r, s };
}

function derInteger(bytes: Buffer): bigint | undefined {
  if (bytes.length < 3 || bytes[0] !== 0x02 || bytes[1] !== bytes.length - 2) return undefined;
  const value = BigInt(`0x${bytes.subarray(2).toString('hex')}`);
  const minimal = value.toString(16);
  const padded = minimal.length % 2 === 0 ? minimal : `0${minimal}`;
  const expected = Number.parseInt(padded.slice(0, 2), 16) >= 0x80 ? `00${padded}` : padded;
  if (value === 0n || value >= P256_ORDER || expected !== bytes.subarray(2).toString('hex')) return undefined;
  return value;
}
