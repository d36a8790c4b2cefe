import { randomUUID } from 'node:crypto';
import { usageError } from './errors.ts';
import { type AnyInput, FACTS, type OperationFacts, type OperationId } from './operations.ts';
import type { CallOptions } from './options.ts';

/** A call before its first request: what every attempt has in common. */
export interface Plan {
  readonly operation: OperationId;
  readonly facts: OperationFacts;
  /** Path and query. */
  readonly target: string;
  readonly path: string;
  readonly body: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly idempotencyKey: string | undefined;
  /** Sending it twice cannot do it twice, so it may be repeated although the first answer was lost. */
  readonly repeatable: boolean;
}

// A space at an end would be lost on the way: HTTP trims field values.
const IDEMPOTENCY_KEY = /^(?! )[\x20-\x7e]{1,255}(?<! )$/;
// RFC 9110 §8.8.3; a list or * is not needed by anyone who has read one answer.
const ETAG = /^(?:W\/)?"[\x21\x23-\x7e]*"$/;
// W3C Trace Context §3.2.
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Throws CastellanError `usage` for what cannot be sent. */
export function planCall(operation: OperationId, input: AnyInput, options: CallOptions): Plan {
  if (!Object.hasOwn(FACTS, operation)) throw usageError(`there is no operation ${String(operation)}`);
  const facts = FACTS[operation];
  const path = pathOf(facts.path, input.params ?? {});
  const acts = facts.method === 'POST' && !facts.readOnly;
  if (!acts && options.idempotencyKey !== undefined) throw usageError('only a POST that acts has an Idempotency-Key');
  const idempotencyKey = acts ? (options.idempotencyKey ?? randomUUID()) : undefined;
  if (idempotencyKey !== undefined && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
    throw usageError('an Idempotency-Key is 1 to 255 printable ASCII characters, without a space at either end');
  }
  const body = input.body === undefined ? undefined : JSON.stringify(input.body);
  return {
    operation,
    facts,
    path,
    target: path + queryOf(input.query ?? {}),
    body,
    idempotencyKey,
    headers: {
      accept: 'application/json, application/problem+json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
      ...condition('if-match', options.ifMatch),
      ...condition('if-none-match', options.ifNoneMatch),
    },
    repeatable: isRepeatable(facts, idempotencyKey, options.ifMatch),
  };
}

/** A header only if it is one that a server can read; a broken one would start a trace nobody finds. */
export function usableTraceparent(give: (() => string | undefined) | undefined): string | undefined {
  const value = give?.();
  return value !== undefined && TRACEPARENT.test(value) ? value : undefined;
}

/**
 * RFC 9110 §9.2.2: what is safe, PUT and DELETE are idempotent. A POST is under its key. A PATCH is when If-Match binds it to
 * a version that it ends: the second one meets 412.
 */
function isRepeatable(facts: OperationFacts, key: string | undefined, ifMatch: string | undefined): boolean {
  if (facts.readOnly || facts.method === 'PUT' || facts.method === 'DELETE') return true;
  return facts.method === 'PATCH' ? ifMatch !== undefined : key !== undefined;
}

function pathOf(template: string, params: Readonly<Record<string, string | number>>): string {
  return template.replaceAll(/\{([^}]+)\}/g, (_, name: string) => {
    const value = Object.hasOwn(params, name) ? String(params[name]) : '';
    // Dots are not escaped by encodeURIComponent, and would be another path.
    if (value === '' || value === '.' || value === '..') throw usageError(`params.${name} is missing or unusable`);
    if (!value.isWellFormed()) throw usageError(`params.${name} is not well-formed text`);
    return encodeURIComponent(value);
  });
}

function queryOf(query: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.append(name, String(value));
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

function condition(name: string, etag: string | undefined): Record<string, string> {
  if (etag === undefined) return {};
  if (!ETAG.test(etag)) throw usageError(`${name} is not an entity tag`);
  return { [name]: etag };
}
