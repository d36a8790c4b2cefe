import { CodedError } from '../errors.ts';

/** A workspace of that name exists. Only a caller of all workspaces creates one, so this tells nobody anything new. */
export class WorkspaceExists extends CodedError {
  readonly code = 'ALREADY_EXISTS';

  constructor() {
    super('a workspace of this name exists already');
  }
}
