import { CodedError } from '../errors.ts';

export type PruningErrorCode =
  | 'NOT_CHECKPOINTED' // no published note covers the events
  | 'LEGAL_HOLD'
  | 'UNPROCESSABLE' // a time that has not come
  | 'CONFLICT'; // these events must stay, or their removal was approved before

/** Events whose removal is not approved. */
export class PruningError extends CodedError {
  readonly code: PruningErrorCode;

  constructor(code: PruningErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
