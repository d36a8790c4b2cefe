import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';

import { PROBLEM_MEDIA_TYPE, problemDocument } from '../http/problem.ts';

/** Bytes of an unread body that are read and dropped; a longer one is not worth its connection. */
const MAX_DROPPED_BODY = 65_536;
/** Refusals a connection gets at once in a second; the next ones are held, since an answer at once would only buy the next request. */
const PROMPT_REFUSALS = 8;
const HOLD_MS = 250;
const SECOND_MS = 1000;
/** Seconds over which clients that were refused together are spread. */
const SPREAD_S = 3;

export type LimitReason = keyof typeof REFUSALS;

/** How each is answered. */
export const REFUSALS = {
  principal_rate: { code: 'RATE_LIMITED', detail: 'You send more requests than you may.' },
  workspace_rate: { code: 'RATE_LIMITED', detail: 'The workspace is sent more requests than it may be.' },
  in_flight: { code: 'OVERLOADED', detail: 'Too many requests are under way.' },
  waited: { code: 'OVERLOADED', detail: 'Too many requests are under way.' },
  event_loop: { code: 'OVERLOADED', detail: 'The service is too busy.' },
} as const;

/**
 * Answers with 429 or 503 before the body is read; `waitMs`: until it is worth coming back. Cheap: no error, no stack, no
 * log line, no audit event.
 */
export function createRefuser(options: { readonly now: () => number; readonly random: () => number }) {
  const { now, random } = options;
  const recent = new WeakMap<Socket, { since: number; count: number }>();

  function isInsistent(socket: Socket): boolean {
    const time = now();
    const known = recent.get(socket);
    if (known !== undefined && time - known.since < SECOND_MS) {
      known.count += 1;
      return known.count > PROMPT_REFUSALS;
    }
    recent.set(socket, { since: time, count: 1 });
    return false;
  }

  return (request: FastifyRequest, reply: FastifyReply, reason: LimitReason, waitMs: number): void => {
    const { code, detail } = REFUSALS[reason];
    const problem = problemDocument(code, detail, request.id);
    // The second in which there is room again, then the spread.
    const retryAfter = Math.max(1, Math.ceil(waitMs / SECOND_MS)) + Math.floor(random() * SPREAD_S);
    if (!isSmallBody(request)) reply.header('connection', 'close');
    // A string passes the route's response schema by.
    reply
      .code(problem.status)
      .header('retry-after', String(retryAfter))
      .header('content-type', PROBLEM_MEDIA_TYPE)
      .serializer(String);
    const send = () => void reply.send(JSON.stringify(problem));
    if (isInsistent(request.raw.socket)) setTimeout(send, HOLD_MS).unref();
    else send();
  };
}

function isSmallBody(request: FastifyRequest): boolean {
  const { headers } = request.raw;
  if (headers['transfer-encoding'] !== undefined) return false;
  const length = headers['content-length'];
  return length === undefined || Number(length) <= MAX_DROPPED_BODY;
}
