import { CodedError } from '../errors.ts';
import type { FieldError } from '../http/problem.ts';

export type ManifestErrorCode =
  | 'MANIFEST_REQUIRED' // the profile needs one, and none was presented
  | 'MANIFEST_MALFORMED' // not of the one form that an envelope has
  | 'MANIFEST_TOO_LARGE'
  | 'MANIFEST_HASH_MISMATCH' // of the manifest, or of the spec that it was made for
  | 'MANIFEST_UNTRUSTED_SIGNER' // unknown, or not in force now
  | 'MANIFEST_WRONG_PURPOSE' // of the signer, or of the audience
  | 'MANIFEST_SIGNATURE_INVALID'
  | 'MANIFEST_EXPIRED' // its time is over, or has not come
  | 'MANIFEST_REPLAYED'; // it was accepted before

/** A manifest was refused; nothing changed. */
export class ManifestError extends CodedError {
  readonly code: ManifestErrorCode;

  constructor(code: ManifestErrorCode, message: string, errors?: readonly FieldError[]) {
    super(message, errors === undefined ? {} : { members: { errors } });
    this.code = code;
  }
}

/** Who signs manifests cannot be found out now: nothing is accepted. */
export class KernelUnavailable extends CodedError {
  readonly code = 'KERNEL_UNAVAILABLE';
}
