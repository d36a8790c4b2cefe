import { CodedError } from '../errors.ts';

export type CheckpointErrorCode =
  | 'AUDIT_UNAVAILABLE' // a proof that does not hold, or cannot be made: the stored log was changed
  | 'CHECKPOINT_INCONSISTENT' // what is stored is not what was signed before: no note is made
  | 'SINK_FAILED'; // a note could not be handed on; tried again

/** A checkpoint that is not made, proved or handed on. */
export class CheckpointError extends CodedError {
  readonly code: CheckpointErrorCode;

  constructor(code: CheckpointErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
