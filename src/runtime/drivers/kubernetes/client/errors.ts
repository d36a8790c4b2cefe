import { CodedError } from '../../../../errors.ts';

export type ClusterErrorCode =
  | 'NO_ANSWER' // no connection, no trust, too slow, or not an answer of an API server
  | 'INVALID' // 400, 422: what we asked for is not taken
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'CONFLICT' // 409: somebody was first, by name or by version
  | 'GONE' // 410: what a watch or a list went on from is forgotten
  | 'TOO_MANY_REQUESTS'
  | 'SERVER_ERROR';

const BY_STATUS: Readonly<Record<number, ClusterErrorCode>> = {
  400: 'INVALID',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  409: 'CONFLICT',
  410: 'GONE',
  422: 'INVALID',
  429: 'TOO_MANY_REQUESTS',
};

/** What an API server refused, or that there was none. The message may hold names of the cluster, never a secret. */
export class ClusterError extends CodedError {
  readonly code: ClusterErrorCode;
  /** Such as AlreadyExists. */
  readonly reason: string | undefined;
  /** What the server asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ClusterErrorCode,
    message: string,
    options: { cause?: unknown; reason?: string | undefined; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.reason = options.reason;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export function codeOfStatus(status: number): ClusterErrorCode {
  return BY_STATUS[status] ?? (status >= 500 ? 'SERVER_ERROR' : 'NO_ANSWER');
}

export function isClusterError(error: unknown, ...codes: readonly ClusterErrorCode[]): error is ClusterError {
  return error instanceof ClusterError && (codes.length === 0 || codes.includes(error.code));
}
