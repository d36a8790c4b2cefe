import { PolicyEvaluationError } from '../errors.ts';

/** It was not asked: another try may have an answer. */
export function unavailable(message: string, cause?: unknown): PolicyEvaluationError {
  return new PolicyEvaluationError('POLICY_UNAVAILABLE', message, cause);
}

/** The policy has none for this input. */
export function failed(message: string, cause?: unknown): PolicyEvaluationError {
  return new PolicyEvaluationError('POLICY_EVALUATION_FAILED', message, cause);
}
