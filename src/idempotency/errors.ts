import { CodedError } from '../errors.ts';

/** A key that stands for another request, or too many requests with keys under way. */
export class IdempotencyError extends CodedError {
  readonly code: 'IDEMPOTENCY_KEY_REUSED' | 'OVERLOADED';

  constructor(code: IdempotencyError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** The same request is being answered just now, here or by another replica. Thrown inside a unit it takes the unit back. */
export class IdempotencyConflict extends CodedError {
  readonly code = 'IDEMPOTENCY_IN_FLIGHT';

  constructor() {
    super('A request with this Idempotency-Key is under way; ask again in a moment.');
  }
}

/** The key was used for another body. */
export function keyReused(): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_KEY_REUSED',
    'This Idempotency-Key was used for a request with another body.',
  );
}
