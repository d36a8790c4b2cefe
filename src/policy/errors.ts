import { CodedError } from '../errors.ts';

/** One problem in a bundle, where it is: a file with row and column, or a JSON pointer into the request body. */
export interface BundleProblem {
  detail: string;
  pointer?: string;
  file?: string;
  row?: number;
  column?: number;
}

/** The bundle is understood but unusable (422); `members.errors` says where. The active version stays. */
export class PolicyInvalid extends CodedError {
  readonly code = 'POLICY_INVALID';
  readonly problems: readonly BundleProblem[];

  constructor(message: string, problems: readonly BundleProblem[] = [{ detail: message }], cause?: unknown) {
    super(message, { cause, members: { errors: problems } });
    this.problems = problems;
  }
}

/** No trustworthy OPA binary is at hand (503): nothing can be compiled, what is compiled already goes on working. */
export class PolicyCompilerUnavailable extends CodedError {
  readonly code = 'POLICY_COMPILER_UNAVAILABLE';
}

/**
 * No answer from the policy. `POLICY_UNAVAILABLE` (503): not loaded, queue full or closed, so a retry may help.
 * `POLICY_EVALUATION_FAILED`: the policy itself failed, ran too long or answered nonsense; callers deny.
 */
export class PolicyEvaluationError extends CodedError {
  readonly code: 'POLICY_UNAVAILABLE' | 'POLICY_EVALUATION_FAILED';

  constructor(code: 'POLICY_UNAVAILABLE' | 'POLICY_EVALUATION_FAILED', message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
