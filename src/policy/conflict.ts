import { CodedError } from '../errors.ts';

/** The request does not fit what is active (409); nothing was changed. */
export class PolicyConflict extends CodedError {
  readonly code: 'POLICY_HASH_CONFLICT' | 'CONFLICT';

  constructor(code: 'POLICY_HASH_CONFLICT' | 'CONFLICT', message: string) {
    super(message);
    this.code = code;
  }
}
