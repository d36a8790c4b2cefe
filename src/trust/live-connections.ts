import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';

import type { Authenticate } from '../identity/authenticate.ts';
import { Unauthenticated, type UnauthenticatedReason } from '../identity/errors.ts';
import type { Standing } from '../identity/standing.ts';

/** Ms of work after which the walk lets others go first: thousands of connections are judged at once. */
const TURN_MS = 5;
/** Ms that a walk waits for those who have to ask somebody else: the next walk must not come later for a database that hangs. */
const SLOW_MS = 1_000;

/** How many connections were ended, by why. */
export type Ended = ReadonlyMap<UnauthenticatedReason, number>;

export interface LiveConnections {
  /** Knows the connections of this server from now on. */
  watch(server: Server): void;
  /** Knows a request that was let in until it is answered or its connection ends. */
  began(request: FastifyRequest): void;
  ended(request: FastifyRequest): void;
  /**
   * Judges every connection as it stands now, and every request under way for at least `olderThanMs`; those that would not be
   * let in are destroyed, also with an answer half sent. Who was slow to be judged may be among those ended of the next time.
   */
  judge(olderThanMs: number): Promise<Ended>;
}

interface LiveOptions {
  readonly authenticate: Authenticate;
  readonly standing: Standing;
  /** Ms of a clock that never jumps. */
  readonly now: () => number;
}

interface Connection {
  /** It has had something to lose: one that never counted gets its 401 with its first request. */
  counted: boolean;
  /** Those under way, and since when. */
  readonly requests: Map<FastifyRequest, number>;
}

export function createLiveConnections({ authenticate, standing, now }: LiveOptions): LiveConnections {
  const connections = new Map<Socket, Connection>();
  let late = new Map<UnauthenticatedReason, number>();

  function watch(server: Server): void {
    server.on('secureConnection', (socket: Socket) => {
      connections.set(socket, { counted: verdict(() => standing(socket)) === undefined, requests: new Map() });
      socket.once('close', () => connections.delete(socket));
    });
  }

  function began(request: FastifyRequest): void {
    const connection = connections.get(request.raw.socket);
    if (connection === undefined) return;
    connection.counted = true;
    connection.requests.set(request, now());
  }

  async function judge(olderThanMs: number): Promise<Ended> {
    const ended = late;
    late = new Map();
    let isOver = false;
    const lost = (socket: Socket, { reason }: Unauthenticated) => {
      if (socket.destroyed) return;
      socket.destroy();
      const counts = isOver ? late : ended;
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    };
    const slow: Promise<void>[] = [];
    let turnEnds = now() + TURN_MS;
    for (const [socket, connection] of connections) {
      const since = now() - olderThanMs;
      for (const verdict of verdictsOn(socket, connection, since)) {
        if (verdict instanceof Promise) slow.push(verdict.then((reason) => reason && lost(socket, reason)));
        else if (verdict !== undefined) lost(socket, verdict);
      }
      if (now() < turnEnds) continue;
      await new Promise(setImmediate);
      turnEnds = now() + TURN_MS;
    }
    if (slow.length > 0) await Promise.race([Promise.all(slow), setTimeout(SLOW_MS, undefined, { ref: false })]);
    isOver = true;
    return ended;
  }

  function* verdictsOn(socket: Socket, { counted, requests }: Connection, since: number) {
    if (counted) yield verdict(() => standing(socket));
    for (const [request, began] of requests) if (began <= since) yield verdict(() => authenticate(socket, request));
  }

  return {
    watch,
    began,
    ended: (request) => connections.get(request.raw.socket)?.requests.delete(request),
    judge,
  };
}

type Verdict = Unauthenticated | undefined;

/** Why it does not count; undefined while it does, and where nobody can say now: that is for the next request to find out. */
function verdict(ask: () => unknown): Verdict | Promise<Verdict> {
  try {
    const answer = ask();
    return answer instanceof Promise ? answer.then(() => undefined, refusalOf) : undefined;
  } catch (error) {
    return refusalOf(error);
  }
}

function refusalOf(error: unknown): Verdict {
  return error instanceof Unauthenticated ? error : undefined;
}
