import type { FastifyReply, FastifyRequest } from 'fastify';

import type { Lane } from '../http/lanes.ts';
import type { FairGate } from './fair-gate.ts';
import type { Pressure } from './pressure.ts';
import type { LimitReason } from './refusal.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose place in its lane the request holds; empty when it holds none. */
    placeOf: string;
    /** Monotonic ms since when it holds it. */
    placeSince: number;
  }
}

export interface LaneOptions {
  readonly lane: Lane;
  /** Takes a token of the workspace; the ms until there is one. */
  readonly takeOf: (workspaceId: string, now: number) => number;
  readonly pressure: Pressure;
  readonly gate: FairGate;
  readonly finished: (ms: number) => void;
  readonly now: () => number;
  readonly refuse: Refuse;
}

/** Answers the request. `waitMs`: until it is worth coming back. */
export type Refuse = (
  request: FastifyRequest,
  reply: FastifyReply,
  lane: Lane,
  reason: LimitReason,
  waitMs: number,
) => void;

/** The hooks of a lane's routes: one before the body is read, one when the work is done. */
export function createLaneHooks({ lane, takeOf, pressure, gate, finished, now, refuse }: LaneOptions) {
  function enter(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const workspaceId = workspaceOf(request);
    const time = now();
    const waitMs = workspaceId === undefined ? 0 : takeOf(workspaceId, time);
    const key = workspaceId ?? keyWithoutWorkspace(request);
    if (waitMs > 0) refuse(request, reply, lane, 'workspace_rate', waitMs);
    else if (pressure.refuses(lane, key)) refuse(request, reply, lane, 'event_loop', 0);
    else if (gate.enter(key)) {
      request.placeOf = key;
      request.placeSince = time;
      done();
    } else waitForPlace(request, reply, key, done);
  }

  function waitForPlace(request: FastifyRequest, reply: FastifyReply, key: string, done: () => void): void {
    const gone = () => gate.cancel(key, waiter);
    const waiter = {
      enter: () => {
        reply.raw.removeListener('close', gone);
        request.placeOf = key;
        request.placeSince = now();
        // Not at once: it would run inside the answer of the request whose place this was.
        process.nextTick(done);
      },
      refuse: () => {
        reply.raw.removeListener('close', gone);
        refuse(request, reply, lane, 'waited', 0);
      },
    };
    if (gate.wait(key, waiter, now())) reply.raw.once('close', gone);
    else refuse(request, reply, lane, 'in_flight', 0);
  }

  /** Gives the place back when the answer is made, not when its last byte is read: a slow reader keeps none. */
  function leave(request: FastifyRequest, _reply: FastifyReply, _payload: unknown, done: () => void): void {
    const key = request.placeOf;
    if (key !== '') {
      request.placeOf = '';
      finished(now() - request.placeSince);
      gate.leave(key);
    }
    done();
  }

  return { enter, leave };
}

function workspaceOf({ params }: FastifyRequest): string | undefined {
  if (typeof params !== 'object' || params === null || !('workspaceId' in params)) return undefined;
  return typeof params.workspaceId === 'string' ? params.workspaceId : undefined;
}

/** No workspace has a blank in its name. */
function keyWithoutWorkspace(request: FastifyRequest): string {
  return request.routeOptions.config.permission === 'public' ? ' public' : ` ${request.principal.id}`;
}
