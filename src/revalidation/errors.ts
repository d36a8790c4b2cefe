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

/** Agents could not be checked before the lease ran out: nothing was decided, and the revalidation is tried again. */
export class JudgementOverdue extends CodedError {
  readonly code = 'OVERLOADED';

  constructor() {
    super('the agents of a page could not be checked in time');
  }
}
