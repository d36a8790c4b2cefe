import { SignerError } from '../crypto/signer.ts';
import { CodedError } from '../errors.ts';

export type AuditErrorCode =
  | 'OVERLOADED' // the append queue is full, or the unit waited past its deadline
  | 'AUDIT_UNAVAILABLE' // shutting down, or the log cannot be read
  | 'CLOCK_SKEW' // readiness only
  | 'CHAIN_UNCOVERED' // events wait to be signed over
  | 'NOT_FOUND'; // no such chain, that is: no such workspace

/** An append that did not happen; nothing of its unit was kept. */
export class AuditError extends CodedError {
  readonly code: AuditErrorCode;

  constructor(code: AuditErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** Thrown inside a unit when a row its outcome rests on was changed since it was read; the use case begins again. */
export class StaleRead extends CodedError {
  readonly code = 'STALE_READ';

  constructor(what: string) {
    super(`${what} changed while it was being decided`);
  }
}

/** Events of the chain wait to be signed over, and some of them must not be. */
export function isUncovered(error: unknown): boolean {
  return error instanceof AuditError && error.code === 'CHAIN_UNCOVERED';
}

/** Nothing can be signed: there is no signer, or what is there must not be signed over. Brakes work all the same. */
export function nothingCanBeSigned(error: unknown): boolean {
  return error instanceof SignerError || isUncovered(error);
}
