import { CodedError } from '../errors.ts';
import type { EgressCode } from './decide.ts';

/** Why the proxy ended an exchange. */
export class EgressFailure extends CodedError {
  readonly code: EgressCode;

  constructor(code: EgressCode, cause?: unknown) {
    super(code, { cause });
    this.code = code;
  }
}

const STATUS: Partial<Record<EgressCode, number>> = {
  BAD_REQUEST: 400,
  BAD_TARGET: 400,
  HOST_MISMATCH: 400,
  TOO_MANY_CONNECTIONS: 503,
  NAME_NOT_FOUND: 502,
  UNREACHABLE: 502,
  TIMEOUT: 504,
};

/** What the client is told; 403 for whatever was decided against it. */
export function statusOf(code: EgressCode): number {
  return STATUS[code] ?? 403;
}
