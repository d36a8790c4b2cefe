import { CodedError } from '../errors.ts';
import type { VerificationKey } from './verify.ts';

/** The four names of the contract (§8). The algorithm of a signature always comes from the signer registry. */
export type SignatureAlgorithm = 'HMAC-SHA256' | 'Ed25519' | 'ECDSA-P256-SHA256' | 'RSA-PSS-SHA256';

/** Something that holds a key and signs with it: a file, a KMS, an HSM, a proxy. */
export interface Signer {
  /** The kid under which the registry lists the public half. */
  readonly signerId: string;
  readonly algorithm: SignatureAlgorithm;
  /** The key that every signature was verified with before `sign` gives it; absent: nobody has looked at them. */
  readonly verifiedWith?: VerificationKey;
  /** The most that it signs at once; absent: whatever it is given. */
  readonly maxBytes?: number;
  /** Signs `data` as it is (the algorithm hashes). Rejects with SignerError, also when `signal` fires first. */
  sign(data: Uint8Array, signal?: AbortSignal): Promise<Buffer>;
}

/** No signature could be had, or the one that came is wrong. Nothing governed may change: the caller answers 503. */
export class SignerError extends CodedError {
  readonly code = 'SIGNER_UNAVAILABLE';
}
