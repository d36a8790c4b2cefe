import { retryAfterMs } from './backoff.ts';
import { CastellanError, type Denial, type ErrorKind, type FieldError } from './errors.ts';
import type { Problem } from './generated.ts';
import type { OperationFacts } from './operations.ts';
import { headerOf, type WireAnswer } from './transport.ts';

export interface ReadAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly requestId: string | undefined;
  readonly etag: string | undefined;
  readonly replayed: boolean;
}

const MAX_DETAIL = 500;
const PROBLEM_CODE = /^[A-Z][A-Z0-9_]*$/;

/** The answer if it is one that the operation describes; throws CastellanError for everything else. */
export function readAnswer(facts: OperationFacts, wire: WireAnswer): ReadAnswer {
  const required = facts.answers[wire.status];
  if (required === undefined) throw wire.status >= 400 ? problemError(wire) : protocolError(wire, 'an unknown status');
  return {
    status: wire.status,
    body: bodyOf(wire, required),
    requestId: headerOf(wire.headers, 'x-request-id'),
    etag: headerOf(wire.headers, 'etag'),
    replayed: headerOf(wire.headers, 'idempotent-replayed') === 'true',
  };
}

function bodyOf(wire: WireAnswer, required: readonly string[] | string | null): unknown {
  if (required === null) return noBody(wire);
  return typeof required === 'string' ? textBody(wire, required) : jsonBody(wire, required);
}

function textBody(wire: WireAnswer, mediaType: string): string {
  const text = textOf(wire, mediaType);
  if (text === undefined) throw protocolError(wire, `no ${mediaType}`);
  return text;
}

function noBody(wire: WireAnswer): undefined {
  if (wire.body.length > 0) throw protocolError(wire, 'a body where there is none');
  return undefined;
}

function jsonBody(wire: WireAnswer, required: readonly string[]): Readonly<Record<string, unknown>> {
  const body = parseJson(wire, 'application/json');
  if (body === undefined) throw protocolError(wire, 'no JSON object');
  // Not a validation: it tells an answer of this operation from one of whatever else listens there.
  const missing = required.find((name) => !Object.hasOwn(body, name));
  if (missing !== undefined) throw protocolError(wire, `no member ${missing}`);
  return body;
}

/** An error answer. One that is no problem document is from something in between, and is named as such. */
function problemError(wire: WireAnswer): CastellanError {
  const body = parseJson(wire, 'application/problem+json');
  if (body === undefined || !isProblem(body) || body.status !== wire.status) {
    return protocolError(wire, 'no problem document');
  }
  const detail = body.detail.slice(0, MAX_DETAIL);
  return new CastellanError(`${body.code}: ${detail}`, {
    ...errorFacts(wire, 'problem', body.code),
    denies: listIn(body, 'denies', isDenial),
    errors: listIn(body, 'errors', isFieldError),
    decisionId: typeof body.decisionId === 'string' ? body.decisionId : undefined,
    problem: body,
  });
}

function protocolError(wire: WireAnswer, what: string): CastellanError {
  const facts = errorFacts(wire, 'protocol', 'UNEXPECTED_ANSWER');
  return new CastellanError(`not an answer of the service: status ${wire.status}, ${what}`, facts);
}

function errorFacts(wire: WireAnswer, kind: ErrorKind, code: string) {
  const { status, headers } = wire;
  return {
    kind,
    code,
    status,
    requestId: headerOf(headers, 'x-request-id'),
    retryAfterMs: retryAfterMs(headerOf(headers, 'retry-after'), Date.now()),
    retryable: status === 408 || status === 429 || status === 503 || code === 'IDEMPOTENCY_IN_FLIGHT',
  };
}

/** The JSON object in a body of exactly this media type; undefined for anything else. */
function parseJson(wire: WireAnswer, mediaType: string): Readonly<Record<string, unknown>> | undefined {
  const text = textOf(wire, mediaType);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The text of a body of exactly this media type, in UTF-8; undefined for anything else. */
function textOf(wire: WireAnswer, mediaType: string): string | undefined {
  const [type = '', ...parameters] = (headerOf(wire.headers, 'content-type') ?? '').toLowerCase().split(';');
  const charset = parameters.map((one) => one.trim()).find((one) => one.startsWith('charset='));
  const utf8 = charset === undefined || /^charset="?utf-8"?$/.test(charset);
  if (type.trim() !== mediaType || !utf8 || wire.headers['content-encoding'] !== undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(wire.body);
  } catch {
    return undefined;
  }
}

function isProblem(value: Readonly<Record<string, unknown>>): value is Problem {
  const { type, title, status, detail, instance, code } = value;
  const texts = [type, title, detail, instance].every((one) => typeof one === 'string');
  return texts && typeof status === 'number' && typeof code === 'string' && PROBLEM_CODE.test(code);
}

function listIn<T>(body: object, name: string, is: (value: unknown) => value is T): readonly T[] {
  const found: unknown = Object.entries(body).find(([key]) => key === name)?.[1];
  return Array.isArray(found) ? found.filter(is) : [];
}

function isDenial(value: unknown): value is Denial {
  return isRecord(value) && typeof value['code'] === 'string' && typeof value['reason'] === 'string';
}

function isFieldError(value: unknown): value is FieldError {
  return isRecord(value) && typeof value['detail'] === 'string';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
