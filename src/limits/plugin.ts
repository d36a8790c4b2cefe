import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import type { LimitsConfig } from '../config.ts';
import { LANES, type Lane, laneOf } from '../http/lanes.ts';
import type { Principal } from '../identity/principal.ts';
import { Capacity } from './capacity.ts';
import { type EventLoopDelay, measureEventLoopDelay } from './event-loop.ts';
import { FairGate } from './fair-gate.ts';
import { createLaneHooks, type Refuse } from './lane-hooks.ts';
import { Pressure } from './pressure.ts';
import { createRefuser, type LimitReason } from './refusal.ts';
import { TokenBuckets } from './token-buckets.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly limits: Limits;
  }
}

export interface Limits {
  /** False when the caller sends too much: the request is answered then. Asked before the caller's access is judged. */
  admit(principal: Principal, request: FastifyRequest, reply: FastifyReply): boolean;
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
        workspaces: workspaces[lane],
        pressure,
        gate: gates[lane],
        finished: (ms) => capacities[lane].finished(ms),
        now,
        refuse,
      }),
    );

    app.decorateRequest('placeOf', '');
    app.decorateRequest('placeSince', 0);
    app.decorate('limits', {
      admit: (principal, request, reply) => {
        const lane = request.is404 ? 'read' : (request.routeOptions.config.lane ?? 'read');
        const waitMs = principals[lane].take(principal.id, now());
        if (waitMs > 0) refuse(request, reply, lane, 'principal_rate', waitMs);
        return waitMs === 0;
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
