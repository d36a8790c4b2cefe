import { CodedError } from '../errors.ts';

/** A file whose contents cannot be put in force, in words for whoever wrote it. Never reaches a request. */
export class FileRefused extends Error {
  constructor(problem: string, options: { readonly cause?: unknown } = {}) {
    super(problem, options);
    this.name = 'FileRefused';
  }
}

/** Handshakes, or whose certificates count, rest on something that has ended. For readiness: no request is refused by it. */
export class TrustExpired extends CodedError {
  readonly code = 'TRUST_EXPIRED';
  constructor(certificate: string) {
    super(`${certificate} has ended`);
  }
}
