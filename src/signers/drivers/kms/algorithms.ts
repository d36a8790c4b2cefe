import { createHash } from 'node:crypto';
import type { KeySpec, MessageType, SigningAlgorithmSpec } from '@aws-sdk/client-kms';
import { type SignatureAlgorithm, SignerError } from '../../../crypto/signer.ts';

/** KMS takes no longer message as it is (Sign, parameter Message). */
const MAX_RAW_BYTES = 4096;

/** HMAC is left out: its key never leaves the KMS, so no signature could be verified before it is used. */
export type KmsAlgorithm = Exclude<SignatureAlgorithm, 'HMAC-SHA256'>;

interface KmsNames {
  readonly signing: SigningAlgorithmSpec;
  readonly specs: readonly KeySpec[];
}

const NAMES: Readonly<Record<KmsAlgorithm, KmsNames>> = {
  Ed25519: { signing: 'ED25519_SHA_512', specs: ['ECC_NIST_EDWARDS25519'] },
  'ECDSA-P256-SHA256': { signing: 'ECDSA_SHA_256', specs: ['ECC_NIST_P256'] },
  'RSA-PSS-SHA256': { signing: 'RSASSA_PSS_SHA_256', specs: ['RSA_2048', 'RSA_3072', 'RSA_4096'] },
};
const ALGORITHMS: readonly KmsAlgorithm[] = ['Ed25519', 'ECDSA-P256-SHA256', 'RSA-PSS-SHA256'];

/** The one algorithm that a key of that spec signs with here. */
export function algorithmOf(spec: string | undefined): KmsAlgorithm | undefined {
  return ALGORITHMS.find((algorithm) => NAMES[algorithm].specs.some((one) => one === spec));
}

export function signingAlgorithm(algorithm: KmsAlgorithm): SigningAlgorithmSpec {
  return NAMES[algorithm].signing;
}

/** The message of a Sign request. Ed25519 hashes itself, so KMS needs all of it; SignerError when too long. */
export function messageOf(
  algorithm: KmsAlgorithm,
  data: Uint8Array,
): { Message: Uint8Array; MessageType: MessageType } {
  if (algorithm !== 'Ed25519') return { Message: createHash('sha256').update(data).digest(), MessageType: 'DIGEST' };
  requireRaw(data);
  return { Message: data, MessageType: 'RAW' };
}

/** The most that KMS signs with such a key; undefined where it is given a digest. */
export function maxBytesOf(algorithm: KmsAlgorithm): number | undefined {
  return algorithm === 'Ed25519' ? MAX_RAW_BYTES : undefined;
}

/** SignerError for data that KMS would not take as it is. */
export function requireRaw(data: Uint8Array): void {
  if (data.length <= MAX_RAW_BYTES) return;
  throw new SignerError(`KMS takes at most ${MAX_RAW_BYTES} bytes as they are, not ${data.length}`);
}
