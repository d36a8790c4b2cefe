import { CodedError } from '../errors.ts';

export type SignerRegistryErrorCode =
  | 'SIGNER_INVALID' // the key does not fit its algorithm, or cannot be registered
  | 'ALREADY_EXISTS' // a signer of that id, or that very key, is registered
  | 'SIGNER_STATE_CONFLICT'; // its state does not allow the step

/** A change of the signer registry that did not happen. */
export class SignerRegistryError extends CodedError {
  readonly code: SignerRegistryErrorCode;

  constructor(code: SignerRegistryErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The registry and this process's own keys contradict each other; it must not run. Boot ends with this. */
export class SignerMismatch extends CodedError {
  readonly code = 'SIGNER_MISMATCH';
}
