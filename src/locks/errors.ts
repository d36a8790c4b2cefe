import { CodedError } from '../errors.ts';

export type LockErrorCode =
  | 'CONFLICT' // nobody locks out themselves
  | 'UNPROCESSABLE'; // a time that is over

/** A lock that was not placed; nothing changed. */
export class LockError extends CodedError {
  readonly code: LockErrorCode;

  constructor(code: LockErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
