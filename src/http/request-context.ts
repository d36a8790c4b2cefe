import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

declare module 'fastify' {
  interface FastifyRequest {
    /** The W3C trace id of the caller, or a new one: 32 lower-case hex digits. */
    traceId: string;
  }
}

// Letters, digits and three signs: nothing that could forge a log line or a header.
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

// W3C Trace Context §3.2: version 00 has exactly four fields; a later one may have more after a dash.
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;
const ZERO_TRACE = '0'.repeat(32);
const ZERO_SPAN = '0'.repeat(16);

/** The caller's `x-request-id` when it is harmless, else a fresh UUID. */
export function requestId(request: IncomingMessage): string {
  const sent = request.headers['x-request-id'];
  return typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : randomUUID();
}

/** The trace id of a `traceparent` header, or undefined when the header is absent or breaks W3C Trace Context §3.2. */
export function traceIdOf(header: string | undefined): string | undefined {
  const match = header === undefined || header.length > 512 ? null : TRACEPARENT.exec(header);
  if (match === null) return undefined;
  const [, version, traceId, spanId, rest] = match;
  if (version === 'ff' || traceId === ZERO_TRACE || spanId === ZERO_SPAN) return undefined;
  if (version === '00' && rest !== undefined) return undefined;
  return traceId;
}

/** 122 random bits, from the pool that Node keeps for UUIDs: a system call per request less. */
function newTraceId(): string {
  return randomUUID().replaceAll('-', '');
}

/** Gives every request its trace id and echoes the request id. */
export const requestContextPlugin = fastifyPlugin(
  async (app: FastifyInstance) => {
    app.decorateRequest('traceId', '');
    app.addHook('onRequest', (request, reply, done) => {
      const sent = request.headers['traceparent'];
      request.traceId = traceIdOf(typeof sent === 'string' ? sent : undefined) ?? newTraceId();
      reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff');
      done();
    });
  },
  { name: 'request-context', fastify: '5.x' },
);
