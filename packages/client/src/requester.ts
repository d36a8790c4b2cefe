import type { ReadAnswer } from './answer.ts';
import type { Caller } from './caller.ts';
import { CastellanError, usageError } from './errors.ts';
import {
  type Answer,
  type AnyInput,
  FACTS,
  type Input,
  type Item,
  type ListId,
  type OperationId,
} from './operations.ts';
import type { CallOptions } from './options.ts';
import { planCall } from './plan.ts';

/** An input without a member that is needed may be left out. */
type Arguments<Id extends OperationId, Options> =
  Record<never, never> extends Input<Id>
    ? [input?: Input<Id>, options?: Options]
    : [input: Input<Id>, options?: Options];

export interface ListOptions extends Omit<CallOptions, 'idempotencyKey' | 'ifMatch' | 'ifNoneMatch'> {
  /** Items after which it ends. Default: all. */
  readonly maxItems?: number;
}

export interface Requester {
  /** Calls one operation of the service. Throws CastellanError. */
  request<Id extends OperationId>(operation: Id, ...rest: Arguments<Id, CallOptions>): Promise<Answer<Id>>;
  /** Every item of a list, page after page as they are asked for. `query.limit` is the size of a page. */
  list<Id extends ListId>(
    operation: Id,
    ...rest: Arguments<Id, ListOptions>
  ): AsyncGenerator<Item<Id>, void, undefined>;
}

export function createRequester(call: Caller): Requester {
  return {
    request: async (operation, ...[input = {}, options = {}]) =>
      described(operation, await call(planCall(operation, input, options), options)),
    list: (operation, ...[input = {}, options = {}]) => items(call, operation, input, options),
  };
}

/** readAnswer has compared status and members with the description; deeper than that the service is taken at its word. */
function described<Id extends OperationId>(_operation: Id, answer: ReadAnswer): Answer<Id> {
  return answer as Answer<Id>;
}

async function* items<Id extends ListId>(
  call: Caller,
  operation: Id,
  input: AnyInput,
  options: ListOptions,
): AsyncGenerator<Item<Id>, void, undefined> {
  const { maxItems = Number.POSITIVE_INFINITY, ...callOptions } = options;
  if (!(maxItems >= 0)) throw usageError('maxItems must be a number from 0');
  const member = Object.hasOwn(FACTS, operation) ? FACTS[operation].list : undefined;
  if (member === undefined) throw usageError(`${String(operation)} is no list`);
  let left = maxItems;
  let cursor: string | undefined;
  while (left > 0) {
    // A cursor stands in the place of a page number.
    const { page: _, ...rest } = input.query ?? {};
    const query = cursor === undefined ? input.query : { ...rest, cursor };
    const { body } = await call(
      planCall(operation, query === undefined ? input : { ...input, query }, callOptions),
      callOptions,
    );
    const page = pageOf<Id>(body, member);
    for (const item of page.items) {
      if (left <= 0) return;
      left -= 1;
      yield item;
    }
    if (page.next === undefined) return;
    // A server that repeats itself would never end.
    if (page.next === cursor) throw unexpected(`${operation}: the same cursor twice`);
    cursor = page.next;
  }
}

function pageOf<Id extends ListId>(
  body: unknown,
  member: string,
): { items: readonly Item<Id>[]; next: string | undefined } {
  const page: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(body ?? {}));
  const { [member]: found, nextCursor } = page;
  if (!Array.isArray(found) || (typeof nextCursor !== 'string' && nextCursor !== null)) {
    throw unexpected(`no list in ${member}, or no nextCursor`);
  }
  return { items: found, next: nextCursor ?? undefined };
}

function unexpected(what: string): CastellanError {
  return new CastellanError(`not an answer of the service: ${what}`, { kind: 'protocol', code: 'UNEXPECTED_ANSWER' });
}
