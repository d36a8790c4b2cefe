import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

import { meter, reach, watchIdle } from './exchange.ts';
import { codeOf, EgressFailure, statusOf } from './failure.ts';
import { headProblem } from './head.ts';
import type { EgressSession, OpenDecision } from './session.ts';
import { readAbsolute, readAuthority, sameTarget, type Target } from './target.ts';
import { shown } from './tunnel.ts';

const MAX_HEAD_BYTES = 16_384;
/** Of one connection only (RFC 9110 §7.6.1), and what is for the proxy. Framing and Host are written anew. */
const NOT_PASSED = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
  'host',
]);

interface Asked {
  readonly target: Target;
  readonly path: string;
}

/** One absolute-form request (RFC 9112 §3.2.2) and its answer, on a connection to the host of its own. Never rejects. */
export async function forward(request: IncomingMessage, response: ServerResponse, session: EgressSession) {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const place = session.enter(() => request.socket.destroy());
  try {
    const asked = readAsked(request, session, place === undefined);
    const { upstream, decision } = await reach(session, asked.target, gone.signal);
    gone.signal.addEventListener('abort', () => upstream.destroy());
    try {
      await exchange(request, response, { asked, upstream, decision, session });
      decision.end();
    } catch (error) {
      decision.end(codeOf(error));
      throw error;
    } finally {
      upstream.destroy();
    }
  } catch (error) {
    if (response.headersSent) request.socket.destroy();
    else refuseRequest(response, codeOf(error));
  } finally {
    place?.leave();
  }
}

async function exchange(
  request: IncomingMessage,
  response: ServerResponse,
  parts: { asked: Asked; upstream: Socket; decision: OpenDecision; session: EgressSession },
): Promise<void> {
  const { asked, upstream, decision, session } = parts;
  const idle = watchIdle(session.limits, () => upstream.destroy(new EgressFailure('TIMEOUT')));
  try {
    if (request.headers.expect !== undefined) response.writeContinue();
    const onward = httpRequest({
      createConnection: () => upstream,
      method: request.method ?? '',
      path: asked.path,
      headers: onwardHeaders(request, asked.target),
      setHost: false,
      maxHeaderSize: MAX_HEAD_BYTES,
    });
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    onward.on('response', resolve).on('error', reject);
    onward.on('upgrade', () => reject(new EgressFailure('UNREACHABLE')));
    const out = meter(decision, 'out', idle.seen).on('error', reject);
    request.pipe(out).pipe(onward);
    const answer = await promise;
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', passedHeaders(answer));
    await pipeline(answer, meter(decision, 'in', idle.seen), response);
  } finally {
    idle.stop();
  }
}

function readAsked(request: IncomingMessage, session: EgressSession, full: boolean): Asked {
  const asked = readAbsolute(request.url ?? '');
  const deny = (code: EgressFailure['code'], { host, port }: Target) => {
    session.deny(host, port, code);
    return new EgressFailure(code);
  };
  if (typeof asked === 'string') throw deny(asked, { host: shown(request.url ?? ''), port: 0 });
  const { target } = asked;
  if (full) throw deny('TOO_MANY_CONNECTIONS', target);
  const { host } = request.headers;
  const named = host === undefined ? target : readAuthority(host, 80);
  if (typeof named === 'string' || !sameTarget(named, target)) throw deny('HOST_MISMATCH', target);
  if (headProblem(request) || request.method === 'TRACE') throw deny('BAD_TARGET', target);
  return asked;
}

function onwardHeaders(request: IncomingMessage, { host, port }: Target): OutgoingHttpHeaders {
  const framing = request.headers['transfer-encoding'] !== undefined;
  return {
    host: port === 80 ? host : `${host}:${port}`,
    ...passedHeaders(request),
    ...(framing ? { 'transfer-encoding': 'chunked' } : {}),
    // A request without a body says so, or Node would send an empty one in chunks.
    ...(framing ||
    request.headers['content-length'] !== undefined ||
    request.method === 'GET' ||
    request.method === 'HEAD'
      ? {}
      : { 'content-length': '0' }),
    connection: 'close',
  };
}

/** Headers for the other side, by name; of a name that comes several times every value. */
function passedHeaders({ rawHeaders, headers }: IncomingMessage): OutgoingHttpHeaders {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const passed = new Map<string, string[]>();
  for (const [index, value] of rawHeaders.entries()) {
    if (index % 2 === 0) continue;
    const name = (rawHeaders[index - 1] ?? '').toLowerCase();
    if (NOT_PASSED.has(name) || (named.includes(name) && name !== 'content-length')) continue;
    const values = passed.get(name) ?? [];
    values.push(value);
    passed.set(name, values);
  }
  return Object.fromEntries([...passed].map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}

function refuseRequest(response: ServerResponse, code: EgressFailure['code']): void {
  if (response.destroyed) return;
  response.writeHead(statusOf(code), { 'content-type': 'text/plain', connection: 'close' });
  response.end(`${code}\n`);
}
