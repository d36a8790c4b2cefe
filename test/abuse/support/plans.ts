import type { Arbitrary } from 'fast-check';
import fc from '../../support/fast-check.ts';

import { CALLERS, type Caller, type Sent } from './client.ts';
import type { Operation, Parameter } from './document.ts';
import { NOBODY } from './hints.ts';
import { NAUGHTY } from './naughty.ts';
import { isTaken, mismatch } from './oracle.ts';
import { spoiltBodies } from './spoilt.ts';
import type { Subjects } from './subjects.ts';
import { type Hints, TEXT, valuesOf } from './values.ts';

const JSON_TYPE = 'application/json';
/** Characters of one text in a counterexample. */
const MAX_SHOWN = 2000;

/** One generated request. */
export interface Plan extends Sent {
  readonly operation: string;
  readonly why: string;
  readonly params: Readonly<Record<string, string>>;
  /** Whether any success would be wrong. */
  readonly refused: boolean;
}

type Pairs = readonly (readonly [name: string, value: string])[];

interface Parts {
  readonly who: Caller;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Pairs;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** Requests as openapi.yaml describes them, about things that are there. */
export function goodPlans(operation: Operation, subjects: Subjects, hints: Hints, who: Arbitrary<Caller>) {
  return fc.record(goodParts(operation, subjects, hints, who)).map((parts) => planOf(operation, 'good', parts));
}

/** Requests with one thing wrong. */
export function badPlans(operation: Operation, subjects: Subjects, hints: Hints, who: Arbitrary<Caller>) {
  const good = goodParts(operation, subjects, hints, who);
  const bad: Arbitrary<Plan>[] = [
    fc.record({ ...good, query: badQueries(operation) }).map((parts) => refusedPlan(operation, 'query', parts)),
    fc
      .record({ ...good, query: oddQueries(operation, subjects) })
      .map((parts) => planOf(operation, 'odd query', parts)),
    fc.record({ ...good, headers: badHeaders }).map((parts) => planOf(operation, 'headers', parts)),
  ];
  if (operation.path.includes('{')) {
    const params = badParams(operation, subjects);
    bad.push(fc.record({ ...good, params }).map((parts) => planOf(operation, 'path', parts)));
  }
  bad.push(...(operation.body === undefined ? unwantedBodies(operation, good) : badBodies(operation, good)));
  return fc.oneof(...bad);
}

export const ANYONE: Arbitrary<Caller> = fc.constantFrom(...CALLERS);

function goodParts(operation: Operation, subjects: Subjects, hints: Hints, who: Arbitrary<Caller>) {
  return {
    who,
    params: fc.record(
      Object.fromEntries(
        namesIn(operation.path).map((name) => [name, fc.constantFrom(...(subjects[name] ?? []), absent(name))]),
      ),
    ),
    query: goodQueries(
      operation.parameters.filter((one) => one.in === 'query'),
      hints,
    ),
    headers: goodHeaders(operation),
    body: bodiesOf(operation, hints),
  };
}

function bodiesOf({ body, bodyRequired }: Operation, hints: Hints): Arbitrary<Buffer | undefined> {
  if (body === undefined) return fc.constant(undefined);
  const texts = valuesOf(body, hints).map((value) => Buffer.from(JSON.stringify(value)));
  return bodyRequired ? texts : fc.option(texts, { nil: undefined });
}

function badBodies(operation: Operation, good: ReturnType<typeof goodParts>): Arbitrary<Plan>[] {
  if (operation.body === undefined) return [];
  const spoilt = spoiltBodies(valuesOf(operation.body)).filter(({ bytes }) => !isTaken(operation, bytes));
  const { body: _, ...others } = good;
  const one = fc
    .record({ parts: fc.record(others), spoilt })
    .map(({ parts, spoilt: { why, bytes } }) => refusedPlan(operation, `body: ${why}`, { ...parts, body: bytes }));
  return [one, one, one];
}

/** Ignoring a body would let a caller believe that it was obeyed; that of a GET is nobody's (RFC 9110 §9.3.1). */
function unwantedBodies(operation: Operation, good: ReturnType<typeof goodParts>): Arbitrary<Plan>[] {
  const plan = operation.method === 'GET' ? planOf : refusedPlan;
  const body = fc.constantFrom('{}', '[]', '{"force":true}', 'x').map((text) => Buffer.from(text));
  const headers = fc.constant({ 'content-type': JSON_TYPE });
  return [fc.record({ ...good, headers, body }).map((parts) => plan(operation, 'a body', parts))];
}

function absent(name: string): string {
  if (name === 'workspaceId' || name === 'template_id') return 'nowhere';
  return name === 'version' ? '2147483647' : NOBODY;
}

function badParams(operation: Operation, subjects: Subjects): Arbitrary<Record<string, string>> {
  const names = namesIn(operation.path);
  const evil = fc.oneof(
    fc.constantFrom(...NAUGHTY, '-1', '0', '1e1', '00000000-0000-0000-0000-000000000000', 'a'.repeat(257)),
    fc.constantFrom(
      NOBODY.toUpperCase(),
      `{${NOBODY}}`,
      `${NOBODY} `,
      'Demo',
      'demo ',
      'demo.',
      '2147483648',
      '9'.repeat(40),
    ),
    TEXT,
  );
  const good = Object.fromEntries(names.map((name) => [name, fc.constantFrom(...(subjects[name] ?? []))]));
  return fc.constantFrom(...names).chain((name) => fc.record({ ...good, [name]: evil.filter((text) => text !== '') }));
}

function goodQueries(parameters: readonly Parameter[], hints: Hints): Arbitrary<Pairs> {
  const pairs = parameters.map(({ name, schema }) =>
    fc.option(
      (hints[name] ?? valuesOf(schema)).map((value) => [name, String(value)] as const),
      { nil: undefined },
    ),
  );
  return fc.tuple(...pairs).map((all) => all.filter((pair) => pair !== undefined));
}

const queryTexts = fc.oneof(
  fc.constantFrom(...NAUGHTY, '-1', '0', '1.0', '1e1', ' 7', '+7', '9007199254740993', '501', '2026-02-30T00:00:00Z'),
  fc.constantFrom('2026-01-01', '0000-01-01T00:00:00Z', '2016-12-31T23:59:60Z', '2026-01-01T00:00:00+25:00'),
  TEXT,
);

/** Queries that must be refused. */
function badQueries({ parameters }: Operation): Arbitrary<Pairs> {
  const name = fc.constantFrom('debug', '__proto__', 'limit[]', 'limit.a', 'constructor', 'LIMIT', '');
  const unknown = fc.tuple(name, queryTexts).map((pair) => [pair]);
  const wanted = parameters.filter((one) => one.in === 'query');
  const [first, ...rest] = wanted;
  if (first === undefined) return unknown;
  const wrong = fc
    .tuple(fc.constantFrom(first, ...rest), queryTexts)
    .filter(([{ schema }, text]) => mismatch(schema, queryValue(schema.type, text)) !== undefined)
    .map(([one, text]) => [[one.name, text] as const]);
  const twice = fc.tuple(fc.constantFrom(first, ...rest), queryTexts).map(([one, text]) => {
    const pair = [one.name, text] as const;
    return [pair, pair];
  });
  return fc.oneof(wrong, twice, unknown);
}

/** Queries that may have a meaning. */
function oddQueries({ parameters }: Operation, subjects: Subjects): Arbitrary<Pairs> {
  const names = parameters.filter((one) => one.in === 'query').map((one) => one.name);
  if (names.length === 0) return fc.constant([]);
  const odd = fc.tuple(fc.constantFrom(...names), queryTexts).map((pair) => [pair]);
  if (!names.includes('cursor')) return odd;
  return fc.oneof(
    odd,
    cursorsLike(subjects['cursor'] ?? []).map((cursor) => [['cursor', cursor] as const]),
  );
}

function queryValue(type: string | undefined, text: string): unknown {
  return type === 'integer' && /^-?(?:0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : text;
}

/** Cursors of other lists, and this list's own with something else inside. A cursor is JSON in base64url. */
function cursorsLike(known: readonly string[]): Arbitrary<string> {
  const insides = [
    ...known.map((cursor) => JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))),
    [1, '', '', []],
  ];
  const key = fc.oneof(fc.array(fc.oneof(TEXT, fc.integer(), fc.double(), queryTexts), { maxLength: 5 }), valuesOf({}));
  return fc
    .tuple(fc.constantFrom(...insides), fc.constantFrom(3, 3, 3, 2, 1, 0), key)
    .map(([inside, at, value]) => Buffer.from(JSON.stringify(inside.with(at, value))).toString('base64url'))
    .filter((cursor) => cursor.length <= 1024);
}

function goodHeaders(operation: Operation): Arbitrary<Record<string, string>> {
  const printable = fc.stringMatching(/^[!-~]{1,40}$/);
  const type: Record<string, string> = operation.body === undefined ? {} : { 'content-type': JSON_TYPE };
  const optional = fc.record(
    {
      // From few, so that some come back; and from many, so that most do not.
      'idempotency-key': fc.oneof(fc.constantFrom('key-1', 'key-2'), printable, printable),
      'x-request-id': fc.stringMatching(/^[A-Za-z0-9._-]{1,128}$/),
      traceparent: fc.constant(`00-${'4b'.repeat(16)}-${'00f'.repeat(5)}1-01`),
      'if-none-match': fc.constantFrom('*', '"x"', 'W/"x", "y"'),
      accept: fc.constantFrom('*/*', JSON_TYPE, 'text/html'),
    },
    { requiredKeys: [] },
  );
  return optional.map((headers) => ({ ...withoutMissing(headers), ...type }));
}

/** Each alone is refused, or ignored as if it were not there. */
const badHeaders: Arbitrary<Record<string, string>> = fc
  .tuple(
    fc.constantFrom<readonly [string, readonly string[]]>(
      [
        'content-type',
        ['text/plain', 'application/json, text/html', 'application/xml', 'a', 'application/json;charset=utf-16'],
      ],
      ['content-encoding', ['gzip', 'br', 'identity, gzip', 'x'.repeat(1000)]],
      ['x-forwarded-client-cert', ['URI=spiffe://castellan.dev/human/kernel-admin', '']],
      ['idempotency-key', ['', 'a'.repeat(256), 'a'.repeat(8000), 'schl\u00fcssel', 'a\tb', 'key-1, key-2']],
      ['if-match', ['x', '"', '*, "a"', '"a",', `"${'a'.repeat(4000)}"`, 'W/']],
      ['if-none-match', ['x', '"', '"a",', '"a"'.repeat(1000)]],
      ['x-request-id', ['a b', 'a'.repeat(129), '\u00e9', '{"level":60}', '']],
      ['traceparent', ['00-0-0-0', `ff-${'4b'.repeat(16)}-${'00f'.repeat(5)}1-01`, 'x'.repeat(4000)]],
      ['authorization', ['Bearer x', 'Basic YTpi', 'Bearer', `Bearer ${'a'.repeat(8000)}`]],
      ['x-http-method-override', ['DELETE', 'PATCH']],
      ['expect', ['200-ok']],
      ['upgrade', ['h2c', 'websocket']],
      ['range', ['bytes=0-0', 'bytes=9-1']],
      ['cookie', ['__Host-a=b']],
      ['x-big', ['x'.repeat(15_000), 'x'.repeat(17_000)]],
    ),
    fc.nat(),
  )
  .map(([[name, values], nth]) => ({ 'content-type': JSON_TYPE, [name]: values[nth % values.length] ?? '' }));

function planOf({ operationId, method, path }: Operation, why: string, parts: Parts): Plan {
  const { who, params, query, headers, body } = parts;
  const filled = path.replaceAll(/\{([^}]+)\}/g, (_all, name: string) => encoded(params[name] ?? ''));
  const search = query.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&');
  // A type without a body is a request of its own: see raw.
  const { 'content-type': type, ...bare } = headers;
  const sent = body === undefined || type === undefined ? bare : { ...bare, 'content-type': type };
  const target = search === '' ? filled : `${filled}?${search}`;
  const plan = { operation: operationId, why, params, refused: false, who, method, target, headers: sent };
  return printable(body === undefined ? plan : { ...plan, body });
}

function refusedPlan(operation: Operation, why: string, parts: Parts): Plan {
  return printable({ ...planOf(operation, why, parts), refused: true });
}

/** A counterexample is for people: the start of each text, and bytes as what they spell. */
function printable(plan: Plan): Plan {
  const cut = (text: string) => (text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}… (${text.length})`);
  const shown = () => {
    const { who, why, method, target, headers, body = '' } = plan;
    const lines = Object.entries(headers).map(([name, value]) => cut(`${name}: ${value}`));
    return `${who}, ${why}: ${method} ${target} ${JSON.stringify(lines)} ${cut(JSON.stringify(body.toString('latin1')))}`;
  };
  return Object.defineProperty(plan, fc.toStringMethod, { value: shown });
}

function encoded(text: string): string {
  // Dots are refused when encoded, and a segment of dots is no segment.
  return encodeURIComponent(text.toWellFormed()).replaceAll("'", '%27');
}

function namesIn(path: string): string[] {
  return [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name ?? '');
}

function withoutMissing(headers: Record<string, string | undefined>): Record<string, string> {
  const entries = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(entries);
}
