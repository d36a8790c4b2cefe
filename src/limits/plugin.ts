import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import type { LimitsConfig } from '../config/limits.ts';
import { LANES, type Lane, laneOf } from '../http/lanes.ts';
import { RetryLater } from '../http/problem.ts';
import type { Principal } from '../identity/principal.ts';
import { Capacity } from './capacity.ts';
import { createRoleCeilings } from './ceilings.ts';
import { type EventLoopDelay, measureEventLoopDelay } from './event-loop.ts';
import { FairGate } from './fair-gate.ts';
import { createLaneHooks, type Refuse } from './lane-hooks.ts';
import { Pressure } from './pressure.ts';
import { createRefuser, type LimitReason, REFUSALS } from './refusal.ts';
import { type Ceiling, TokenBuckets } from './token-buckets.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly limits: Limits;
  }
}

export interface Limits {
  /** False when the caller sends too much: the request is answered then. Asked before the caller's access is judged. */
  admit(principal: Principal, request: FastifyRequest, reply: FastifyReply): boolean;
  /**
   * For a request whose workspace is not in its path, once it is found: from here on it counts as the workspace's. Throws
   * RetryLater when the workspace is sent too much, or has its share of places.
   */
  charge(request: FastifyRequest, workspaceId: string): void;
  /** For a request that goes on for long and has bounds of its own: it gives its place back now. */
  release(request: FastifyRequest): void;
  stats(): LimitStats;
}

interface LimitStats {
  readonly lanes: Readonly<
    Record<Lane, { readonly inFlight: number; readonly waiting: number; readonly places: number }>
  >;
  /** The part refused because the event loop is late. */
  readonly pressure: number;
}

export interface LimitsOptions {
  readonly config: LimitsConfig;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly observe: { readonly refused: (reason: LimitReason, lane: Lane) => void };
  /** A ceiling that the workspace has of its own. */
  readonly workspaceCeiling?: (workspaceId: string) => Ceiling | undefined;
  readonly eventLoop?: EventLoopDelay;
}

/** Ms between two looks at the event loop and at those who wait. */
const SAMPLE_MS = 250;

/**
 * Bounds what a principal and a workspace may send, and what is under way, before any body is read. Register it before
 * every route; identity asks `app.limits.admit`.
 */
export const limitsPlugin = fastifyPlugin(
  async (app: FastifyInstance, options: LimitsOptions) => {
    const { config, now, random, observe, eventLoop = measureEventLoopDelay() } = options;
    const principals = bucketsPerLane(config, 'principal');
    const workspaces = bucketsPerLane(config, 'workspace');
    const roleCeiling = createRoleCeilings(config.roles);
    const takeOf = (lane: Lane, workspaceId: string, time: number) =>
      workspaces[lane].take(workspaceId, time, lane === 'brake' ? undefined : options.workspaceCeiling?.(workspaceId));
    const gates = gatesPerLane(config);
    const capacities = perLane((lane) => new Capacity({ most: config.inFlight[lane], aimMs: config.latencyMs }));
    const pressure = new Pressure({ maxDelayMs: config.eventLoopDelayMs, random });
    const answer = createRefuser({ now, random });
    const refuse: Refuse = (request, reply, lane, reason, waitMs) => {
      observe.refused(reason, lane);
      answer(request, reply, reason, waitMs);
    };
    const hooks = perLane((lane) =>
      createLaneHooks({
        lane,
        takeOf: (workspaceId, time) => takeOf(lane, workspaceId, time),
        pressure,
        gate: gates[lane],
        finished: (ms) => capacities[lane].finished(ms),
        now,
        refuse,
      }),
    );

    const limitReached = (reason: LimitReason, lane: Lane, waitMs: number) => {
      observe.refused(reason, lane);
      return new RetryLater(REFUSALS[reason].code, REFUSALS[reason].detail, waitMs);
    };

    app.decorateRequest('placeOf', '');
    app.decorateRequest('placeSince', 0);
    app.decorate('limits', {
      admit: (principal, request, reply) => {
        const lane = laneOfRequest(request);
        const ceiling = lane === 'brake' ? undefined : roleCeiling(principal);
        const waitMs = principals[lane].take(principal.id, now(), ceiling);
        if (waitMs > 0) refuse(request, reply, lane, 'principal_rate', waitMs);
        return waitMs === 0;
      },
      charge: (request, workspaceId) => {
        const { placeOf } = request;
        // It was the workspace's from the start.
        if (placeOf === workspaceId) return;
        const lane = laneOfRequest(request);
        const waitMs = takeOf(lane, workspaceId, now());
        if (waitMs > 0) throw limitReached('workspace_rate', lane, waitMs);
        if (placeOf === '') return;
        if (!gates[lane].move(placeOf, workspaceId)) throw limitReached('in_flight', lane, 0);
        request.placeOf = workspaceId;
      },
      release: (request) => {
        const { placeOf } = request;
        if (placeOf === '') return;
        request.placeOf = '';
        gates[laneOfRequest(request)].leave(placeOf);
      },
      stats: () => ({
        lanes: perLane((lane) => ({
          inFlight: gates[lane].inFlight,
          waiting: gates[lane].waiting,
          places: gates[lane].capacity,
        })),
        pressure: pressure.level,
      }),
    });

    app.addHook('onRoute', (route) => {
      const lane = laneOf(route);
      route.config = { ...route.config, lane };
      // A route's own hooks come after those of all plugins: identity and access are settled by then.
      route.onRequest = [route.onRequest ?? [], hooks[lane].enter].flat();
      route.onSend = [route.onSend ?? [], hooks[lane].leave].flat();
    });

    const timer = setInterval(() => {
      const delayMs = eventLoop.read();
      if (delayMs !== undefined) pressure.sample(delayMs);
      for (const lane of LANES) {
        gates[lane].expire(now());
        // Brakes keep their places, however slow all is.
        if (lane === 'brake') continue;
        capacities[lane].adjust(gates[lane].inFlight * 2 > gates[lane].capacity);
        gates[lane].capacity = capacities[lane].places;
      }
    }, SAMPLE_MS).unref();
    app.addHook('onClose', async () => {
      clearInterval(timer);
      eventLoop.stop();
    });
  },
  { name: 'limits', fastify: '5.x', dependencies: ['route-contract', 'problem'] },
);

function laneOfRequest(request: FastifyRequest): Lane {
  return request.is404 ? 'read' : (request.routeOptions.config.lane ?? 'read');
}

type PerLane<T> = Readonly<Record<Lane, T>>;

function perLane<T>(make: (lane: Lane) => T): PerLane<T> {
  return { brake: make('brake'), write: make('write'), read: make('read') };
}

/** Reads and writes share a bucket; brakes have one of their own. */
function bucketsPerLane(config: LimitsConfig, whose: 'principal' | 'workspace'): PerLane<TokenBuckets> {
  const ordinary = new TokenBuckets(config[whose]);
  const brake = new TokenBuckets(config.brake);
  return perLane((lane) => (lane === 'brake' ? brake : ordinary));
}

function gatesPerLane({ inFlight, maxWaiting, maxWaitMs }: LimitsConfig): PerLane<FairGate> {
  return perLane((lane) => new FairGate({ capacity: inFlight[lane], maxWaiting, maxWaitMs }));
}
