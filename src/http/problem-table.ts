export interface ProblemRow {
  readonly status: number;
  readonly title: string;
  /** Shown instead of the error's own message, where a message of our own would tell apart what must look the same. */
  readonly detail?: string;
}

/**
 * Every code the API answers with, and the only place where one becomes an HTTP status. Codes are never renamed or reused.
 * A code that is missing here is answered as INTERNAL, so that a forgotten row fails loudly instead of leaking.
 */
export const PROBLEM_TABLE = {
  VALIDATION_FAILED: { status: 400, title: 'The request does not match the schema' },
  MALFORMED_JSON: { status: 400, title: 'The body is not acceptable JSON' },
  MALFORMED_REQUEST: { status: 400, title: 'The request is malformed' },
  MANIFEST_MALFORMED: { status: 400, title: 'The manifest is malformed' },
  UNAUTHENTICATED: { status: 401, title: 'No accepted identity' },
  PERMISSION_DENIED: { status: 403, title: 'The caller may not do this' },
  ADMISSION_DENIED: { status: 403, title: 'Admission denied the start' },
  AGENT_QUARANTINED: { status: 403, title: 'The agent is quarantined' },
  MANIFEST_REQUIRED: { status: 403, title: 'A manifest in force is required' },
  MANIFEST_SIGNATURE_INVALID: { status: 403, title: 'The signature of the manifest is not valid' },
  MANIFEST_HASH_MISMATCH: { status: 403, title: 'The manifest is for another content' },
  MANIFEST_UNTRUSTED_SIGNER: { status: 403, title: 'The signer of the manifest is not trusted' },
  MANIFEST_WRONG_PURPOSE: { status: 403, title: 'The manifest or its signer is for another purpose' },
  MANIFEST_EXPIRED: { status: 403, title: 'The manifest is not in force now' },
  MANIFEST_REPLAYED: { status: 403, title: 'The manifest was used before' },
  KILL_SWITCH: { status: 403, title: 'A kill switch is engaged' },
  WORKSPACE_SUSPENDED: { status: 403, title: 'The workspace is suspended' },
  STOP_TOKEN_INVALID: { status: 403, title: 'It is not the stop token of the agent' },
  RELEASE_DENIED: { status: 403, title: 'The agent may not leave quarantine' },
  // One text for what does not exist and for what is not the caller's: the two must be indistinguishable.
  NOT_FOUND: { status: 404, title: 'Not found', detail: 'There is no such resource, or it is not yours to see.' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request did not arrive in time' },
  CONFLICT: { status: 409, title: 'The request conflicts with the present state' },
  AGENT_RUNNING: { status: 409, title: 'The agent is running' },
  AGENT_NOT_RUNNING: { status: 409, title: 'The agent is not running' },
  SPEC_FROZEN: { status: 409, title: 'The spec of a governed agent is frozen' },
  ALREADY_GOVERNED: { status: 409, title: 'The agent is governed already' },
  WORKSPACE_LIMIT_REACHED: { status: 409, title: 'The workspace has as many agents as its settings allow' },
  POLICY_HASH_CONFLICT: { status: 409, title: 'Another policy version is active' },
  ALREADY_EXISTS: { status: 409, title: 'It exists already' },
  SIGNER_STATE_CONFLICT: { status: 409, title: 'The state of the signer does not allow this' },
  NOT_CHECKPOINTED: { status: 409, title: 'No published checkpoint covers the events' },
  LEGAL_HOLD: { status: 409, title: 'The chain is under a legal hold' },
  APPROVAL_STALE: { status: 409, title: 'What the approval is about has changed' },
  APPROVAL_EXPIRED: { status: 409, title: 'The time for the approval is over' },
  APPROVAL_GIVEN: { status: 409, title: 'The caller has approved it already' },
  PROMOTION_DECIDED: { status: 409, title: 'The promotion is decided already' },
  PROMOTION_PENDING: { status: 409, title: 'A promotion of the agent waits for approvals' },
  NOT_QUARANTINED: { status: 409, title: 'The agent is not quarantined' },
  IDEMPOTENCY_IN_FLIGHT: { status: 409, title: 'The same request is under way' },
  PRECONDITION_FAILED: { status: 412, title: 'The resource has changed since it was read' },
  BODY_TOO_LARGE: { status: 413, title: 'The body is too large' },
  MANIFEST_TOO_LARGE: { status: 413, title: 'The manifest is too large' },
  URI_TOO_LONG: { status: 414, title: 'The request target is too long' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The media type is not supported' },
  UNPROCESSABLE: { status: 422, title: 'The content is understood but cannot be used' },
  RUNTIME_UNSUPPORTED: { status: 422, title: 'The runtime of the agent cannot be had here' },
  SPEC_NOT_CANONICAL: { status: 422, title: 'The spec has no canonical form' },
  POLICY_INVALID: { status: 422, title: 'The policy cannot be used' },
  SIGNER_INVALID: { status: 422, title: 'The signer cannot be used' },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: 'The Idempotency-Key stands for another request' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The header section is too large' },
  INTERNAL: { status: 500, title: 'Internal error', detail: 'The request could not be completed.' },
  DATABASE_UNAVAILABLE: { status: 503, title: 'The database is unavailable' },
  IDENTITY_PROVIDER_UNAVAILABLE: { status: 503, title: 'The issuer of the token is unavailable' },
  SIGNER_UNAVAILABLE: { status: 503, title: 'The signer is unavailable' },
  KERNEL_UNAVAILABLE: { status: 503, title: "The Kernel's API is unavailable" },
  POLICY_UNAVAILABLE: { status: 503, title: 'The policy is unavailable' },
  POLICY_COMPILER_UNAVAILABLE: { status: 503, title: 'There is no policy compiler' },
  POLICY_EVALUATION_FAILED: { status: 503, title: 'The policy could not be evaluated' },
  AUDIT_UNAVAILABLE: { status: 503, title: 'The audit log is unavailable' },
  ISOLATION_UNAVAILABLE: { status: 503, title: 'Isolation cannot be had here' },
  OVERLOADED: { status: 503, title: 'The service is overloaded' },
  DRAINING: { status: 503, title: 'The service is shutting down' },
  HANDLER_TIMEOUT: { status: 503, title: 'The request took too long' },
  CHAIN_UNCOVERED: { status: 503, title: 'The chain has unsigned events that no signed event covers' },
} as const satisfies Record<string, ProblemRow>;

export type ProblemCode = keyof typeof PROBLEM_TABLE;

/** True when `code` has a row. Own members only, so that `toString` is no code. */
export function isProblemCode(code: unknown): code is ProblemCode {
  return typeof code === 'string' && Object.hasOwn(PROBLEM_TABLE, code);
}

/** The stable `type` URI of a code (RFC 9457 §3.1.1). */
export function problemType(code: ProblemCode): string {
  return `https://castellan.dev/problems/${code.toLowerCase().replaceAll('_', '-')}`;
}
