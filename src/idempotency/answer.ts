import type { FastifyReply, FastifyRequest } from 'fastify';

import { CodedError } from '../errors.ts';
import { PROBLEM_MEDIA_TYPE, problemOf } from '../http/problem.ts';

/** Bytes. Only a batch or a revalidation with very long reasons has more. */
const MAX_BODY = 1_048_576;
const JSON_MEDIA_TYPE = 'application/json; charset=utf-8';
/** What an answer says beside its body. */
const KEPT_HEADERS = ['etag', 'location'] as const;

/** What a route answers with, before it is written out. */
export interface Answer<Body = unknown> {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Body;
}

/** An answer as it goes over the wire, and as it is kept. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** 200 with a body. */
export function ok(body: unknown): Answer {
  return { status: 200, body };
}

/** Sets status and headers, and gives the body for the handler to return. */
export function answerWith<Body>(reply: FastifyReply, { status, headers = {}, body }: Answer<Body>): Body {
  reply.code(status).headers(headers);
  return body;
}

/** The bytes that the route's schema makes of an answer, or the problem document of an error. */
export function render(request: FastifyRequest, reply: FastifyReply, answer: Answer | CodedError): KeptAnswer {
  if (answer instanceof CodedError) {
    const problem = problemOf(answer, request.id);
    return { status: problem.status, headers: { 'content-type': PROBLEM_MEDIA_TYPE }, body: JSON.stringify(problem) };
  }
  const { status, headers = {}, body } = answer;
  const serialize: (body: unknown) => string = reply.getSerializationFunction(String(status)) ?? JSON.stringify;
  return { status, headers: { ...headers, 'content-type': JSON_MEDIA_TYPE }, body: serialize(body) };
}

/** What the handler has set on the reply and returned. */
export function answerOf(reply: FastifyReply, body: unknown): Answer {
  const set = KEPT_HEADERS.map((name) => [name, reply.getHeader(name)] as const);
  const headers = Object.fromEntries(
    set.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
  return { status: reply.statusCode, headers, body };
}

/** Whether an answer is small enough to be kept. */
export function isKeepable({ body }: KeptAnswer): boolean {
  return Buffer.byteLength(body) <= MAX_BODY;
}

/** Answers with bytes that were rendered before. */
export function resend(reply: FastifyReply, { status, headers, body }: KeptAnswer): string {
  for (const name of KEPT_HEADERS) reply.removeHeader(name);
  // A string with a serializer of its own passes the route's schema by.
  reply.code(status).headers(headers).serializer(String);
  return body;
}
