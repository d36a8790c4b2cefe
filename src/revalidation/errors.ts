import { CodedError } from '../errors.ts';

/** Another worker holds the revalidation, or it has ended: this one must write nothing more. */
export class LeaseLost extends CodedError {
  readonly code = 'LEASE_LOST';

  constructor() {
    super('the revalidation is not this worker’s any more');
  }
}

/** Only governed agents are revalidated (409); nothing was started. */
export class NotGoverned extends CodedError {
  readonly code = 'CONFLICT';

  constructor(agentId: string) {
    super(`agent ${agentId} is a sandbox agent: it has no proof to revalidate`);
  }
}
