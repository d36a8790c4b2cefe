import { CodedError } from '../errors.ts';

/** The workspace has as many agents as its settings allow; nothing was created. */
export class WorkspaceLimitReached extends CodedError {
  readonly code = 'WORKSPACE_LIMIT_REACHED';

  constructor(maxAgents: number) {
    super(`the workspace may have ${maxAgents} agents and has them; delete one, or raise limits.maxAgents`);
  }
}

/** The stored settings are not what this service writes. */
export class WorkspaceSettingsUnusable extends CodedError {
  readonly code = 'UNPROCESSABLE';

  constructor() {
    super('the stored settings of the workspace cannot be read');
  }
}
