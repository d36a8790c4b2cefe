import type { Problem } from './generated.ts';

/**
 * What went wrong. `problem`: the service answered with an error. `connection`: no whole answer came. `timeout`: the deadline
 * passed. `aborted`: by the caller. `protocol`: something answered, but not as the service does. `credentials`: certificate,
 * key or token cannot be used. `usage`: the call itself is wrong; nothing was sent.
 */
export type ErrorKind = 'problem' | 'connection' | 'timeout' | 'aborted' | 'protocol' | 'credentials' | 'usage';

export type Denial = NonNullable<Problem['denies']>[number];
/** What is wrong, and where: a JSON pointer into the request, or a place in a file of a policy bundle. */
export interface FieldError {
  readonly detail: string;
  readonly pointer?: string;
  readonly file?: string;
  readonly row?: number;
  readonly column?: number;
}

export interface ErrorFacts {
  readonly kind: ErrorKind;
  /** The code of the problem document, or one of the client: CONNECTION_FAILED, DEADLINE_EXCEEDED, ABORTED, … */
  readonly code: string;
  readonly status?: number | undefined;
  readonly requestId?: string | undefined;
  readonly denies?: readonly Denial[];
  readonly decisionId?: string | undefined;
  readonly errors?: readonly FieldError[];
  /** The same call may succeed later. */
  readonly retryable?: boolean;
  /** ms the service asked to wait. */
  readonly retryAfterMs?: number | undefined;
  readonly problem?: Problem;
  readonly cause?: unknown;
}

/** Any failure of a call. Carries no token and no key. */
export class CastellanError extends Error {
  override readonly name = 'CastellanError';
  readonly kind: ErrorKind;
  readonly code: string;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  /** Why governance refused, in the order of the checks; empty when it did not. */
  readonly denies: readonly Denial[];
  readonly decisionId: string | undefined;
  /** Members of the request at fault. */
  readonly errors: readonly FieldError[];
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  /** The whole problem document, for members of a code's own. */
  readonly problem: Problem | undefined;
  operation: string | undefined;
  /** Requests made for this call. */
  attempts = 0;
  /** The answer to an attempt was lost, so what was asked for may have happened all the same. */
  maybeApplied = false;
  /** Repeat the call under this key, and it happens once. */
  idempotencyKey: string | undefined;

  constructor(message: string, facts: ErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.kind = facts.kind;
    this.code = facts.code;
    this.status = facts.status;
    this.requestId = facts.requestId;
    this.denies = facts.denies ?? [];
    this.decisionId = facts.decisionId;
    this.errors = facts.errors ?? [];
    this.retryable = facts.retryable ?? false;
    this.retryAfterMs = facts.retryAfterMs;
    this.problem = facts.problem;
  }
}

export function usageError(message: string): CastellanError {
  return new CastellanError(message, { kind: 'usage', code: 'USAGE' });
}

export function credentialsError(message: string, cause?: unknown): CastellanError {
  return new CastellanError(message, { kind: 'credentials', code: 'CREDENTIALS_UNUSABLE', cause });
}
