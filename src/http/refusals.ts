import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { CodedError } from '../errors.ts';

/** Node drops headers past its limit without a word, so a hidden one could carry an identity: refuse long before. */
const MAX_HEADERS = 100;
/** Bytes of the request target; the longest honest one is a list with a cursor. */
const MAX_TARGET_BYTES = 2048;

/** Headers of which the first or the last could win, depending on who reads. */
const SINGLETONS = new Set([
  'host',
  'content-type',
  'content-length',
  'expect',
  'transfer-encoding',
  'authorization',
  'if-match',
  'if-none-match',
  'idempotency-key',
  'traceparent',
  'x-request-id',
]);

/**
 * Headers that mean something in one value alone. Another expectation does not exist (RFC 9110 §10.1.1); another transfer
 * coding is not decoded here, but could be by who reads before us (RFC 9112 §6.1).
 */
const ONLY_VALUES: Readonly<Record<string, string | undefined>> = {
  expect: '100-continue',
  'transfer-encoding': 'chunked',
};

// Encoded slash, backslash, dot and control characters: they mean one thing to a router and another to whoever decodes later.
const ENCODED_TRICK = /%(?:2f|5c|2e|[01][0-9a-f]|7f)/i;
// `;` starts path parameters for some proxies; dot segments and empty segments are normalised away by others.
const PATH_TRICK = /[;\\]|\/\/|\/\.{1,2}(?:\/|$)/;
const PRINTABLE_ASCII = /^[\x21-\x7e]+$/;

/** A request that two readers could understand differently. Answered and cut off. */
export class RequestRefused extends CodedError {
  readonly code: 'MALFORMED_REQUEST' | 'URI_TOO_LONG';
  constructor(message: string, code: 'MALFORMED_REQUEST' | 'URI_TOO_LONG' = 'MALFORMED_REQUEST') {
    super(message);
    this.code = code;
  }
}

/** Throws RequestRefused when the request target has more than one reading. */
export function checkTarget(target: string): void {
  if (target.length > MAX_TARGET_BYTES) throw new RequestRefused('The request target is too long.', 'URI_TOO_LONG');
  if (!target.startsWith('/')) throw new RequestRefused('The request target must be a path.');
  if (!PRINTABLE_ASCII.test(target))
    throw new RequestRefused('The request target holds raw characters that need encoding.');
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  if (ENCODED_TRICK.test(path) || PATH_TRICK.test(path)) throw new RequestRefused('The path is ambiguous.');
  if (target.includes('%00')) throw new RequestRefused('The request target holds a NUL.');
}

/** Throws RequestRefused for versions that have other rules; Node takes a request line that ends in HTTP/2.0. */
function checkVersion({ httpVersion, headers }: IncomingMessage): void {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') throw new RequestRefused('This is HTTP/1.1.');
  // RFC 9112 §6.1: faulty framing.
  if (httpVersion === '1.0' && headers['transfer-encoding'] !== undefined) {
    throw new RequestRefused('HTTP/1.0 has no Transfer-Encoding.');
  }
}

/** Throws RequestRefused when the header section has more than one reading. `raw` alternates names and values. */
function checkHeaders(raw: readonly string[]): void {
  if (raw.length > MAX_HEADERS * 2) throw new RequestRefused(`More than ${MAX_HEADERS} headers.`);
  const seen = new Set<string>();
  for (let index = 0; index < raw.length; index += 2) {
    const name = (raw[index] ?? '').toLowerCase();
    if (!SINGLETONS.has(name)) continue;
    if (seen.has(name)) throw new RequestRefused(`The header ${name} is sent twice.`);
    seen.add(name);
    const only = ONLY_VALUES[name];
    if (only !== undefined && raw[index + 1]?.toLowerCase() !== only)
      throw new RequestRefused(`${name} has one value.`);
  }
  if (!seen.has('host')) throw new RequestRefused('There is no Host header.');
  if (seen.has('transfer-encoding') && seen.has('content-length')) {
    throw new RequestRefused('Transfer-Encoding and Content-Length exclude each other.');
  }
}

/** What is wrong with the request before anything else is asked; undefined when nothing is. */
function refusalOf(request: IncomingMessage): RequestRefused | undefined {
  try {
    checkVersion(request);
    checkHeaders(request.rawHeaders);
    checkTarget(request.url ?? '');
    return undefined;
  } catch (error) {
    if (error instanceof RequestRefused) return error;
    throw error;
  }
}

/** Refuses ambiguous requests before anything else looks at them, and whatever follows one on its connection. */
export const refusalsPlugin = fastifyPlugin(
  async (app: FastifyInstance) => {
    const found = new WeakMap<IncomingMessage, RequestRefused>();
    const cutOff = new WeakSet<Socket>();

    // Before Fastify, and so before the next request of the same packet: it may be the smuggled half, and must not be done.
    app.server.prependListener('request', (request: IncomingMessage) => {
      const refusal = cutOff.has(request.socket)
        ? new RequestRefused('This follows a request that was refused.')
        : refusalOf(request);
      if (refusal === undefined) return;
      found.set(request, refusal);
      cutOff.add(request.socket);
    });

    app.addHook('onRequest', ({ raw, headers }, reply, done) => {
      // There is nothing to upgrade to, and Node drops what came with such a request: no second one may follow.
      if (headers.upgrade !== undefined) reply.header('connection', 'close');
      // An injected request never passed the server.
      const refusal = found.get(raw) ?? (raw.socket instanceof Socket ? undefined : refusalOf(raw));
      if (refusal !== undefined) reply.header('connection', 'close');
      done(refusal);
    });
  },
  { name: 'refusals', fastify: '5.x', dependencies: ['problem'] },
);
