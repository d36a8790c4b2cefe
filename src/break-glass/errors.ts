import { CodedError } from '../errors.ts';

/** The caller has an elevation in this workspace already; nothing was granted. */
export class AlreadyElevated extends CodedError {
  readonly code = 'CONFLICT';

  constructor(elevationId: string) {
    super(`the caller has the elevation ${elevationId} there; end it before asking for another`);
  }
}
