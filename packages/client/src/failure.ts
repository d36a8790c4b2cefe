import { CastellanError } from './errors.ts';
import type { Plan } from './plan.ts';
import type { RetryState } from './retry-policy.ts';
import type { TimeLimit } from './time-limit.ts';
import { TransportError, type TransportFault } from './transport.ts';

/** An attempt without a good answer. */
export interface Failure {
  readonly error: CastellanError;
  /** The service cannot have acted on it. */
  readonly nothingDone: boolean;
  /** Nothing was sent. */
  readonly unsent: boolean;
}

/** Codes of problems after which the service may still act: the first request under the key, or a handler cut short. */
const MAY_STILL_ACT = new Set(['IDEMPOTENCY_IN_FLIGHT', 'HANDLER_TIMEOUT']);

const CONNECTION: Readonly<Record<TransportFault, { kind: CastellanError['kind']; code: string; retryable: boolean }>> =
  {
    unsent: { kind: 'connection', code: 'CONNECTION_FAILED', retryable: true },
    untrusted: { kind: 'connection', code: 'TLS_REFUSED', retryable: false },
    lost: { kind: 'connection', code: 'ANSWER_LOST', retryable: true },
    'too-large': { kind: 'protocol', code: 'ANSWER_TOO_LARGE', retryable: false },
    closed: { kind: 'usage', code: 'CLIENT_CLOSED', retryable: false },
  };

/** What an attempt has thrown, as the caller will see it. Without anything thrown, the deadline passed between two attempts. */
export function failureOf(
  thrown: unknown,
  deadline: TimeLimit,
  attempt: TimeLimit | undefined,
  last: Failure | undefined,
): Failure {
  const transport = thrown instanceof TransportError ? thrown : undefined;
  const unsent = transport !== undefined && ['unsent', 'untrusted', 'closed'].includes(transport.fault);
  const nothingDone = unsent || thrown === undefined;
  if (thrown instanceof CastellanError) return { error: thrown, ...certaintyOf(thrown) };
  if (deadline.expired()) {
    const facts = { kind: 'timeout', code: 'DEADLINE_EXCEEDED', retryable: true, cause: last?.error } as const;
    return { error: new CastellanError('no answer before the deadline', facts), unsent, nothingDone };
  }
  if (deadline.signal.aborted) {
    const facts = { kind: 'aborted', code: 'ABORTED', cause: deadline.signal.reason } as const;
    return { error: new CastellanError('aborted by the caller', facts), unsent, nothingDone };
  }
  if (attempt?.expired() === true) {
    const facts = { kind: 'timeout', code: 'ATTEMPT_TIMEOUT', retryable: true } as const;
    return { error: new CastellanError('the request took too long', facts), unsent, nothingDone };
  }
  if (transport === undefined) {
    const facts = { kind: 'protocol', code: 'INTERNAL', cause: thrown } as const;
    return { error: new CastellanError('the client failed', facts), unsent: false, nothingDone: false };
  }
  const facts = { ...CONNECTION[transport.fault], cause: transport.cause };
  return { error: new CastellanError(transport.message, facts), unsent, nothingDone };
}

// Contract §4: no governed state changes on any error. That holds for what the service says, not for what is in between.
function certaintyOf(error: CastellanError): { unsent: boolean; nothingDone: boolean } {
  const unsent = error.kind === 'credentials' || error.kind === 'usage';
  return { unsent, nothingDone: unsent || (error.kind === 'problem' && !MAY_STILL_ACT.has(error.code)) };
}

/** The error of a call, with what is known of the whole call. */
export function finish(thrown: unknown, plan: Plan, state: RetryState, maybeApplied: boolean): unknown {
  if (!(thrown instanceof CastellanError)) return thrown;
  thrown.operation = plan.operation;
  thrown.attempts = state.attempts;
  thrown.maybeApplied = maybeApplied && !plan.facts.readOnly;
  thrown.idempotencyKey = plan.idempotencyKey;
  return thrown;
}
