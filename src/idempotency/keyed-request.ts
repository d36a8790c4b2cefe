import type { FastifyReply, FastifyRequest } from 'fastify';

import type { Claim, UnitScope, Write } from '../audit/append.ts';
import { CodedError } from '../errors.ts';
import { type Answer, isKeepable, type KeptAnswer, ok, render } from './answer.ts';
import { IdempotencyConflict } from './errors.ts';
import type { RequestKey } from './key.ts';
import { type AnswerToKeep, answerWrite, insertKept, type KeptRow, WHOLE } from './store.ts';

/** What a use case in several units keeps of its parts, so that a retry after a crash repeats none of them. */
export interface KeptItems<T extends object> {
  /** The outcome of a part that an earlier attempt has committed. */
  find(item: string): T | undefined;
  /** Keeps the outcome of a part with the part. */
  claim(item: string): Claim<T>;
}

type Scope = Pick<UnitScope, 'trx' | 'now'>;

/** A request with an Idempotency-Key while it is being answered for the first time. */
export class KeyedRequest {
  readonly key: RequestKey;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #items: ReadonlyMap<string, KeptRow>;
  #kept: KeptAnswer | undefined;

  constructor(key: RequestKey, request: FastifyRequest, reply: FastifyReply, items: readonly KeptRow[]) {
    this.key = key;
    this.#request = request;
    this.#reply = reply;
    this.#items = new Map(items.map((row) => [row.item, row]));
  }

  /** The answer that a unit has kept; undefined when no unit has. */
  get kept(): KeptAnswer | undefined {
    return this.#kept;
  }

  render(answer: Answer | CodedError): KeptAnswer {
    return render(this.#request, this.#reply, answer);
  }

  /** Keeps what `answer` makes of a unit's value; a value that is an error is kept as its problem document. */
  claim<T>(answer: (value: T) => Answer): Claim<T | CodedError> {
    const rendered = (value: T | CodedError) => this.render(value instanceof CodedError ? value : answer(value));
    return {
      store: (scope, value) => this.keep(scope, rendered(value)),
      row: (value, now) => {
        this.#kept = rendered(value);
        return this.#row(WHOLE, this.#kept, now);
      },
    };
  }

  /** Keeps an answer in an open unit. IdempotencyConflict when another replica has kept one. */
  async keep(scope: Scope, answer: KeptAnswer): Promise<void> {
    await this.#insert(scope, WHOLE, answer);
    this.#kept = answer;
  }

  items<T extends object>(): KeptItems<T> {
    return {
      find: (item) => {
        const row = this.#items.get(item);
        return row === undefined ? undefined : JSON.parse(row.body);
      },
      claim: (item) => ({
        store: (scope, outcome) => this.#insert(scope, item, itemAnswer(outcome)),
        row: (outcome, now) => this.#row(item, itemAnswer(outcome), now),
      }),
    };
  }

  #row(item: string, answer: KeptAnswer, now: number): { write: Write<unknown>; row: AnswerToKeep } {
    requireKeepable(answer);
    return { write: answerWrite, row: { workspaceId: this.key.workspaceId, key: this.key, item, answer, now } };
  }

  async #insert({ trx, now }: Scope, item: string, answer: KeptAnswer): Promise<void> {
    requireKeepable(answer);
    if (!(await insertKept(trx, this.key, item, answer, now))) throw new IdempotencyConflict();
  }
}

function requireKeepable(answer: KeptAnswer): void {
  if (!isKeepable(answer)) throw new RangeError(`an answer of ${answer.body.length} characters cannot be kept`);
}

function itemAnswer(outcome: object): KeptAnswer {
  return { ...ok(outcome), headers: {}, body: JSON.stringify(outcome) };
}

const keyed = new WeakMap<FastifyRequest, KeyedRequest>();

/** From now on `claimOf` and `itemsOf` know this request. */
export function remember(request: FastifyRequest, one: KeyedRequest): void {
  keyed.set(request, one);
}

/**
 * For the unit that answers a request: keeps the answer with the unit's changes. Undefined without an Idempotency-Key.
 * The unit's value is what `answer` shows, or the denial that the use case throws once it is committed.
 */
export function claimOf<T>(
  request: FastifyRequest,
  answer: (value: T) => Answer = ok,
): Claim<T | CodedError> | undefined {
  return keyed.get(request)?.claim(answer);
}

/** For a use case in several units. Undefined without an Idempotency-Key. */
export function itemsOf<T extends object>(request: FastifyRequest): KeptItems<T> | undefined {
  return keyed.get(request)?.items();
}

/** A claim on what `shown` makes of a unit's value. */
export function claimAs<T, U>(claim: Claim<U> | undefined, shown: (value: T) => U): Claim<T> | undefined {
  if (claim === undefined) return undefined;
  return {
    store: (scope, value) => claim.store(scope, shown(value)),
    row: (value, now) => claim.row(shown(value), now),
  };
}
