import { CodedError } from '../errors.ts';

export type RetentionErrorCode =
  | 'LEGAL_HOLD' // nothing of the chain may be erased or removed
  | 'NOT_CHECKPOINTED' // no published note covers the events
  | 'UNPROCESSABLE' // events that the chain does not have, a time that has not come
  | 'CONFLICT'; // these events must stay, or their removal was approved before

/** An erasure that did not happen, or a removal that is not approved; nothing changed. */
export class RetentionError extends CodedError {
  readonly code: RetentionErrorCode;

  constructor(code: RetentionErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
