import { Type } from '@sinclair/typebox';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { CodedError } from '../errors.ts';
import { isProblemCode, PROBLEM_TABLE, type ProblemCode, type ProblemRow, problemType } from './problem-table.ts';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** `allErrors` is on, so one hostile body can fail in a hundred thousand places; the answer names the first of them. */
const MAX_REPORTED_ERRORS = 32;

/** RFC 9457 problem details. Open: a code may bring members of its own. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ format: 'uri', description: 'Stable URI of the code' }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String(),
    instance: Type.String({ description: 'The request id' }),
    code: Type.String({ pattern: '^[A-Z][A-Z0-9_]*$' }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.Optional(
            Type.String({ description: 'RFC 6901; /query/… and /path/… for what is not in the body' }),
          ),
          file: Type.Optional(Type.String({ description: 'A module of a policy bundle' })),
          row: Type.Optional(Type.Integer()),
          column: Type.Optional(Type.Integer()),
          detail: Type.String(),
        }),
      ),
    ),
    denies: Type.Optional(
      Type.Array(
        Type.Object(
          {
            code: Type.String(),
            reason: Type.String(),
            severity: Type.Union([Type.Literal('DENY'), Type.Literal('RESTRICT')]),
            check: Type.String(),
          },
          { additionalProperties: true },
        ),
      ),
    ),
    decisionId: Type.Optional(Type.String()),
  },
  { $id: 'Problem', additionalProperties: true },
);

export interface FieldError {
  /** RFC 6901 JSON pointer; `/query/…` and `/path/…` for what is not in the body. */
  readonly pointer: string;
  readonly detail: string;
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly code: ProblemCode;
  readonly [member: string]: unknown;
}

/** Bad input that a schema cannot express; `errors` name the members at fault. */
export class ValidationFailed extends CodedError {
  readonly code = 'VALIDATION_FAILED';
  constructor(errors: readonly FieldError[]) {
    super('The request does not match the schema.', { members: { errors } });
  }
}

/** The one 404: what does not exist and what is not the caller's look the same. */
export class NotFound extends CodedError {
  readonly code = 'NOT_FOUND';
  constructor() {
    super('not found');
  }
}

/** Too many requests, found out while one is handled. `waitMs`: until it is worth coming back. */
export class RetryLater extends CodedError {
  readonly code: 'RATE_LIMITED' | 'OVERLOADED';
  readonly waitMs: number;
  constructor(code: 'RATE_LIMITED' | 'OVERLOADED', detail: string, waitMs: number) {
    super(detail);
    this.code = code;
    this.waitMs = waitMs;
  }
}

/** Builds the document of a code. The fixed members win over `members`, so no error can overwrite its own status. */
export function problemDocument(
  code: ProblemCode,
  detail: string,
  requestId: string,
  members: Readonly<Record<string, unknown>> = {},
): Problem {
  const row: ProblemRow = PROBLEM_TABLE[code];
  const fixed = { type: problemType(code), title: row.title, status: row.status, detail: row.detail ?? detail };
  return { ...fixed, ...members, ...fixed, instance: requestId, code };
}

/** Any thrown thing as a problem; an unknown one says nothing about itself. */
export function problemOf(error: unknown, requestId: string): Problem {
  if (error instanceof CodedError) {
    if (!isProblemCode(error.code)) return internal(requestId);
    return problemDocument(error.code, error.message, requestId, error.members);
  }
  return frameworkProblem(error, requestId) ?? internal(requestId);
}

function internal(requestId: string): Problem {
  return problemDocument('INTERNAL', 'internal error', requestId);
}

function frameworkProblem(error: unknown, requestId: string): Problem | undefined {
  if (!isFastifyError(error)) return undefined;
  if (error.validation !== undefined) {
    const prefix = POINTER_PREFIX[error.validationContext ?? 'body'] ?? '';
    const errors = error.validation.slice(0, MAX_REPORTED_ERRORS).map((one) => fieldError(one, prefix));
    return problemDocument('VALIDATION_FAILED', 'The request does not match the schema.', requestId, { errors });
  }
  const known = FRAMEWORK_CODES[error.code];
  return known === undefined ? undefined : problemDocument(known.code, known.detail, requestId);
}

const POINTER_PREFIX: Readonly<Record<string, string>> = {
  body: '',
  querystring: '/query',
  params: '/path',
  headers: '/headers',
};

const FRAMEWORK_CODES: Readonly<Record<string, { code: ProblemCode; detail: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'BODY_TOO_LARGE', detail: 'The body exceeds the limit of this route.' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'UNSUPPORTED_MEDIA_TYPE', detail: 'Send application/json.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'MALFORMED_REQUEST', detail: 'Content-Length and body differ.' },
  FST_ERR_BAD_URL: { code: 'MALFORMED_REQUEST', detail: 'The request target cannot be decoded.' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'URI_TOO_LONG', detail: 'A path segment is too long.' },
  FST_ERR_HANDLER_TIMEOUT: { code: 'HANDLER_TIMEOUT', detail: 'The request took longer than this route allows.' },
  // A client that goes away in the middle of its body; nobody reads the answer, but it is not our failure.
  ECONNRESET: { code: 'MALFORMED_REQUEST', detail: 'The body ended early.' },
};

type ValidationEntry = NonNullable<FastifyError['validation']>[number];

function fieldError(entry: ValidationEntry, prefix: string): FieldError {
  const member = entry.params['additionalProperty'] ?? entry.params['missingProperty'];
  const suffix =
    typeof member === 'string' ? `/${member.slice(0, 128).replaceAll('~', '~0').replaceAll('/', '~1')}` : '';
  const allowed = entry.params['allowedValues'];
  const hint = Array.isArray(allowed) ? `: ${allowed.join(', ')}` : '';
  return {
    pointer: `${prefix}${entry.instancePath.slice(0, 512)}${suffix}`,
    detail: `${entry.message ?? 'is not valid'}${hint}`,
  };
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}

export interface ProblemOptions {
  /** Sees every error before it is answered and says what to answer instead; for refusals that must be audited first. */
  readonly beforeAnswer?: (error: unknown, request: FastifyRequest) => Promise<unknown>;
  /** Uniform in [0, 1): spreads the retries of clients that were refused together. */
  readonly random: () => number;
}

/** Sends an error as problem+json, with Retry-After (1–3 s) on 429 and 503. Never shows a message of an unknown error. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply, random: () => number): void {
  const problem = problemOf(error, request.id);
  if (problem.code === 'INTERNAL') request.log.error({ err: error }, 'request failed');
  // Refusals for want of room are counted; a line for each would add to the load.
  else if (problem.status >= 500 && problem.code !== 'OVERLOADED')
    request.log.warn({ err: error, code: problem.code }, 'request refused');
  if (problem.status === 429 || problem.status === 503) {
    const least = error instanceof RetryLater ? Math.ceil(error.waitMs / 1000) : 1;
    reply.header('retry-after', String(Math.max(1, least) + Math.floor(random() * 3)));
  }
  // A string passes the route's response schema by, which would drop the members it does not know.
  reply
    .code(problem.status)
    .header('content-type', PROBLEM_MEDIA_TYPE)
    .serializer(String)
    .send(JSON.stringify(problem));
}

/** Answers every error and every unknown route as RFC 9457. */
export const problemPlugin = fastifyPlugin(
  async (app: FastifyInstance, options: ProblemOptions) => {
    const { random, beforeAnswer = async (error: unknown) => error } = options;
    app.setErrorHandler(async (error, request, reply) => {
      sendProblem(await beforeAnswer(error, request), request, reply, random);
      return reply;
    });
    app.setNotFoundHandler((request, reply) => sendProblem(new NotFound(), request, reply, random));
  },
  { name: 'problem', fastify: '5.x' },
);
