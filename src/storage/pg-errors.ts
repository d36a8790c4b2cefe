import { DatabaseError } from 'pg';

import { CodedError } from '../errors.ts';

export type StorageErrorCode =
  | 'DATABASE_UNAVAILABLE' // away, full, exhausted, too slow, or lost a race with a lock
  | 'INVALID_WORKSPACE' // not a workspace id: it would have been put into SQL text
  | 'TRANSACTION_ABORTED' // a failed statement was swallowed, so the COMMIT rolled back
  | 'TRANSACTION_ENDED' // a statement outlived its transaction
  | 'TRANSACTION_MISUSED' // begin or commit inside the storage's own transaction
  | 'ROLE_NOT_APPLIED' // the connection runs as another role than row-level security expects
  | 'NUMBER_TOO_LARGE' // a bigint that JavaScript cannot hold exactly
  | 'SCHEMA_NEWER' // the database has migrations this release does not know
  | 'MIGRATION_FAILED'
  | 'MIGRATIONS_INVALID' // the folder of migrations cannot be used
  | 'LOGIN_REFUSED'; // a login that may not be provisioned

/** A failure of the database layer. Details stay in `cause`, for the log. */
export class StorageError extends CodedError {
  readonly code: StorageErrorCode;
  /** True when the same work may succeed if it is run again from the start. */
  readonly retryable: boolean;
  /** True when COMMIT was sent and its answer lost: the work is wholly there or wholly absent. */
  readonly outcomeUnknown: boolean;

  constructor(
    code: StorageErrorCode,
    message: string,
    options: { cause?: unknown; retryable?: boolean; outcomeUnknown?: boolean } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.outcomeUnknown = options.outcomeUnknown ?? false;
  }
}

/** SQLSTATE (PostgreSQL, appendix A) of failures after which the same transaction may simply be run again. */
const RETRYABLE_STATES: ReadonlySet<string> = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available: lock_timeout
]);

const UNAVAILABLE_STATES: ReadonlySet<string> = new Set([
  '25006', // read_only_sql_transaction: a standby, or a server put into read-only mode
  '25P03', // idle_in_transaction_session_timeout
  '25P04', // transaction_timeout
  '57014', // query_canceled: statement_timeout
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P04', // database_dropped
  '57P05', // idle_session_timeout
  '58000', // system_error
  '58030', // io_error
]);

/** 08 connection exception, 53 insufficient resources (disk full, out of memory, too many connections). */
const UNAVAILABLE_CLASSES: ReadonlySet<string> = new Set(['08', '53']);

const NETWORK_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** The driver's own failures carry no code, only these words. */
const DRIVER_MESSAGES =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|Query read timeout|timeout e(xceeded|xpired))/;

/** The StorageError for a failure of the connection, the server or a lock; undefined for any other error. */
export function asUnavailable(error: unknown): StorageError | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (error instanceof DatabaseError) {
    const retryable = RETRYABLE_STATES.has(code);
    const away = retryable || UNAVAILABLE_STATES.has(code) || UNAVAILABLE_CLASSES.has(code.slice(0, 2));
    return away ? unavailable(error, retryable) : undefined;
  }
  return NETWORK_CODES.has(code) || DRIVER_MESSAGES.test(error.message) ? unavailable(error, false) : undefined;
}

/** 28 the login is refused; 3D, 3F, 42P01, 42883, 42703: no such database, or none with our schema; 42501: may not read. */
const UNUSABLE = /^(28...|3D000|3F000|42P01|42883|42703|42501)$/;
/** The driver's own words when the server asks for a password and there is none. */
const NO_PASSWORD = /^SASL: /;

/** True for a database that answers, but not to this login, or without the schema that is read. */
export function isUnusable(error: unknown): boolean {
  if (error instanceof DatabaseError) return UNUSABLE.test(error.code ?? '');
  return error instanceof Error && NO_PASSWORD.test(error.message);
}

/** True when a statement failed on a unique or primary key, or on exactly `constraint` when it is named. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof DatabaseError) || error.code !== '23505') return false;
  return constraint === undefined || error.constraint === constraint;
}

function unavailable(cause: Error, retryable: boolean): StorageError {
  return new StorageError('DATABASE_UNAVAILABLE', 'the database is unavailable', { cause, retryable });
}
