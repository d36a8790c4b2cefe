import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

import { type Asked, readForward } from './asked.ts';
import { meter, reach, watchIdle } from './exchange.ts';
import { EgressFailure, statusOf } from './failure.ts';
import { headBytes } from './head.ts';
import { passedHeaders, requestFraming } from './passed-headers.ts';
import { refuseRequest } from './refuse.ts';
import type { EgressSession, OpenDecision } from './session.ts';

/** Of an answer. */
const MAX_HEAD_BYTES = 65_536;

/** One absolute-form request (RFC 9112 §3.2.2) and its answer, on a connection to the host of its own. Never rejects. */
export async function forward(request: IncomingMessage, response: ServerResponse, session: EgressSession) {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const place = session.enter(() => request.socket.destroy());
  try {
    const asked = readForward(request, session);
    const { upstream, decision } = await reach(session, asked.target, place, gone.signal);
    gone.signal.addEventListener('abort', () => upstream.destroy(), { once: true });
    try {
      await exchange(request, response, { asked, upstream, decision, session, gone: gone.signal });
      decision.end();
    } catch (error) {
      decision.end(error instanceof EgressFailure || !gone.signal.aborted ? codeOf(error) : undefined);
      throw error;
    } finally {
      upstream.destroy();
    }
  } catch (error) {
    const code = codeOf(error);
    // Too late for a status; a body that ends before its length says that something is missing.
    if (response.headersSent) request.socket.destroy();
    else refuseRequest(request, statusOf(code), code);
  } finally {
    place?.leave();
  }
}

/** Rejects with the EgressFailure that ended it, or with whatever went wrong on one side. */
async function exchange(
  request: IncomingMessage,
  response: ServerResponse,
  parts: { asked: Asked; upstream: Socket; decision: OpenDecision; session: EgressSession; gone: AbortSignal },
): Promise<void> {
  const { asked, upstream, decision, session, gone } = parts;
  let failure: EgressFailure | undefined;
  const fail = (code: EgressFailure['code']) => {
    failure ??= new EgressFailure(code);
    upstream.destroy(failure);
  };
  const count = (direction: 'in' | 'out', message: IncomingMessage) => {
    if (!decision.count(direction, headBytes(message))) throw new EgressFailure('BYTE_LIMIT');
  };
  const idle = watchIdle(session.limits, () => fail('TIMEOUT'));
  try {
    count('out', request);
    if (request.headers.expect !== undefined) response.writeContinue();
    const onward = send(request, asked, upstream);
    const answered = answerTo(onward);
    if (request.socket.readableEnded) idle.halfOpen();
    else request.socket.once('end', idle.halfOpen);
    const out = meter(decision, 'out', idle.seen).on('error', () => fail('BYTE_LIMIT'));
    request.pipe(out).pipe(onward);
    const answer = await answered;
    // An answer that breaks off takes the client along, after which nobody knows who was first.
    answer.once('error', () => {
      if (!gone.aborted) fail('UNREACHABLE');
    });
    idle.seen();
    count('in', answer);
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', passedHeaders(answer));
    await pipeline(answer, meter(decision, 'in', idle.seen), response);
  } catch (error) {
    throw failure ?? error;
  } finally {
    request.socket.off('end', idle.halfOpen);
    idle.stop();
  }
}

function send(request: IncomingMessage, { target: { host, port }, path }: Asked, upstream: Socket) {
  const headers: OutgoingHttpHeaders = {
    host: port === 80 ? host : `${host}:${port}`,
    ...passedHeaders(request),
    ...requestFraming(request),
    connection: 'close',
  };
  const options = { createConnection: () => upstream, path, headers, setHost: false, maxHeaderSize: MAX_HEAD_BYTES };
  return httpRequest({ ...options, method: request.method ?? 'GET' });
}

/** An upgrade is no answer: nobody has asked for one. */
function answerTo(onward: ReturnType<typeof httpRequest>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    onward.on('response', resolve);
    onward.on('error', reject);
    onward.on('upgrade', () => reject(new EgressFailure('UNREACHABLE')));
  });
}

function codeOf(error: unknown): EgressFailure['code'] {
  return error instanceof EgressFailure ? error.code : 'UNREACHABLE';
}
