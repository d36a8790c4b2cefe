import { CodedError } from '../../errors.ts';

export type StreamErrorCode =
  | 'AWAY' // the database cannot be reached now; the same may succeed later
  | 'UNREADABLE' // the database will not be readable by trying again
  | 'HIDDEN' // row-level security hides events from this login
  | 'STATE' // the state file cannot be read or written, or is none
  | 'UNDELIVERED'; // the destination refused, or went away for good

/** The stream cannot go on. What was delivered is in the state; nothing was skipped. */
export class StreamError extends CodedError {
  readonly code: StreamErrorCode;

  constructor(code: StreamErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
