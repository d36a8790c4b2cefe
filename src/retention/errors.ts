import { CodedError } from '../errors.ts';

export type RetentionErrorCode =
  | 'LEGAL_HOLD' // nothing of the chain may be erased
  | 'UNPROCESSABLE'; // events that the chain does not have

/** An erasure that did not happen; nothing changed. */
export class RetentionError extends CodedError {
  readonly code: RetentionErrorCode;

  constructor(code: RetentionErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
