import { CodedError } from '../../errors.ts';

export type EmbeddedPostgresErrorCode =
  | 'NO_BINARIES' // neither the package of this platform nor PostgreSQL on this machine
  | 'DATA_DIR_IN_USE'
  | 'DATA_DIR_UNUSABLE' // of another major version, or not a data directory
  | 'START_FAILED';

/** The embedded database could not be started. */
export class EmbeddedPostgresError extends CodedError {
  readonly code: EmbeddedPostgresErrorCode;

  constructor(code: EmbeddedPostgresErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
