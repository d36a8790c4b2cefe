import { IdempotencyConflict, IdempotencyError, keyReused } from './errors.ts';
import type { RequestKey } from './key.ts';

/** As many as there may be connections (http/server-options.ts). */
const MAX_IN_FLIGHT = 4096;

/**
 * Requests with a key that this process is answering. Other replicas are told apart by the row alone: this only spares
 * the work of a second attempt that could not win.
 */
export class InFlight {
  readonly #requests = new Map<string, Buffer>();

  /** Runs `work` unless the same key is at work: IdempotencyConflict, or KEY_REUSED when that is about another body. */
  async alone<T>({ scope, request }: RequestKey, work: () => Promise<T>): Promise<T> {
    const name = scope.toString('base64');
    const other = this.#requests.get(name);
    if (other !== undefined) throw other.equals(request) ? new IdempotencyConflict() : keyReused();
    if (this.#requests.size >= MAX_IN_FLIGHT) {
      throw new IdempotencyError('OVERLOADED', 'too many requests with an Idempotency-Key are under way');
    }
    this.#requests.set(name, request);
    try {
      return await work();
    } finally {
      this.#requests.delete(name);
    }
  }
}
