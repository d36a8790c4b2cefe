import { CodedError } from '../errors.ts';

/** Why nothing can be isolated here. No secrets and no paths of runs: the three members are shown to callers. */
export interface IsolationProblem {
  /** The check that failed, such as `user-namespaces`. */
  readonly check: string;
  readonly observed: string;
  /** One line that an operator can follow. */
  readonly fix: string;
}

/** Isolation cannot be had here (contract §6); nothing was run. */
export class IsolationUnavailable extends CodedError {
  readonly code = 'ISOLATION_UNAVAILABLE';
  readonly problem: IsolationProblem;

  constructor(problem: IsolationProblem, cause?: unknown) {
    super(`${problem.check}: ${problem.observed}. ${problem.fix}`, { cause, members: { ...problem } });
    this.problem = problem;
  }
}

/** What a spec asks of a runtime that this driver does not have, such as an image. */
export class RuntimeUnsupported extends CodedError {
  readonly code = 'RUNTIME_UNSUPPORTED';
}
