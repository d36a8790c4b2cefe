import { CodedError } from '../errors.ts';

/** A secret that an agent needs cannot be had; names it, never what it holds. */
export class SecretUnavailable extends CodedError {
  readonly code = 'SECRET_UNAVAILABLE';

  constructor(name: string, why: string, cause?: unknown) {
    super(`secret ${name}: ${why}`, { cause });
  }
}

/** Thrown inside a unit: the claim is lost, or something else is wanted of the agent by now. Nothing is kept. */
export class Superseded extends CodedError {
  readonly code = 'SUPERSEDED';

  constructor() {
    super('the agent is claimed by another supervisor, or not wanted as it was');
  }
}
