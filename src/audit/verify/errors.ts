import { CodedError } from '../../errors.ts';

export type VerifyErrorCode =
  | 'UNREADABLE' // the database, the export or the registry cannot be read, or is not of the promised form
  | 'HIDDEN' // the login may not see every row it would have to check
  | 'CHECKPOINT' // a checkpoint from outside vouches for nothing: not signed, of another log, or no log to compare with
  | 'STATE'; // the state of an earlier verification does not fit what is to be verified

/** Verification could not be done; it says nothing about the log. */
export class VerifyError extends CodedError {
  readonly code: VerifyErrorCode;

  constructor(code: VerifyErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
