import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import type {} from '../audit/plugin.ts';
import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import type {} from '../http/route-contract.ts';
import type {} from '../storage/plugin.ts';
import { answerOf, isKeepable, type KeptAnswer, resend } from './answer.ts';
import { IdempotencyConflict, keyReused } from './errors.ts';
import { InFlight } from './in-flight.ts';
import { type RequestKey, requestKey } from './key.ts';
import { KeyedRequest, remember } from './keyed-request.ts';
import { findKept, type KeptRow, replaceKept, WHOLE } from './store.ts';

export interface IdempotencyOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1): spreads the retries of clients that were refused together. */
  readonly random: () => number;
}

/**
 * Honours `Idempotency-Key` on every POST that creates or acts (contract §4). The handler of such a route is wrapped, so
 * identity, permission and schema come first, for a replay too. Routes hand `claimOf(request)` to the unit that
 * makes their change; what no unit has kept is kept afterwards.
 */
export const idempotencyPlugin = fastifyPlugin(
  async (app, options: IdempotencyOptions) => {
    const inFlight = new InFlight();

    app.addHook('onRoute', (route) => {
      if (route.method !== 'POST' || route.config?.readOnly === true) return;
      route.handler = keyedHandler(app, route.handler, inFlight, options);
    });
  },
  { name: 'idempotency', fastify: '5.x', dependencies: ['identity', 'storage'] },
);

function keyedHandler(
  app: FastifyInstance,
  handler: RouteHandlerMethod,
  inFlight: InFlight,
  { clock, random }: IdempotencyOptions,
): RouteHandlerMethod {
  return function keyed(this: FastifyInstance, request, reply) {
    const key = requestKey(request);
    if (key === undefined) return handler.call(this, request, reply);
    const answer = () => handler.call(this, request, reply);
    return inFlight
      .alone(key, () => answerOnce(key, request, reply, answer))
      .catch((error: unknown) => {
        if (error instanceof IdempotencyConflict) reply.header('retry-after', String(1 + Math.floor(random() * 3)));
        throw error;
      });
  };

  async function answerOnce(
    key: RequestKey,
    request: FastifyRequest,
    reply: FastifyReply,
    answer: () => unknown,
  ): Promise<unknown> {
    const rows = await find(key);
    const kept = rows.find((row) => row.item === WHOLE);
    if (kept !== undefined) return replay(reply, kept);
    const one = new KeyedRequest(key, request, reply, rows);
    remember(request, one);
    try {
      return await answerFirst(one, reply, answer);
    } catch (error) {
      if (!(error instanceof IdempotencyConflict)) throw error;
      // Another replica was first with the same request: its answer is the answer.
      const theirs = (await find(key)).find((row) => row.item === WHOLE);
      if (theirs === undefined) throw error;
      return replay(reply, theirs);
    }
  }

  /** Everything kept for the key. KEY_REUSED when it is about another body. */
  async function find(key: RequestKey): Promise<KeptRow[]> {
    const rows = await app.storage.read(key.workspaceId, (trx) => findKept(trx, key, clock()));
    if (rows.some((row) => !row.request.equals(key.request))) throw keyReused();
    return rows;
  }

  async function answerFirst(one: KeyedRequest, reply: FastifyReply, answer: () => unknown): Promise<unknown> {
    let value: unknown;
    try {
      value = await answer();
    } catch (error) {
      if (isDecidedDenial(error) && one.kept === undefined) await keepAlone(one, one.render(error));
      throw error;
    }
    const final = one.render(answerOf(reply, value));
    const early = one.kept;
    if (early === undefined) await keepAlone(one, final);
    else if (early.body !== final.body && !(await refine(one, final))) return resend(reply, early);
    return value;
  }

  /** For an answer that comes with no change, such as that an agent runs already: a unit of its own, without events. */
  async function keepAlone(one: KeyedRequest, answer: KeptAnswer): Promise<void> {
    // Its parts are kept one by one: nothing is done twice without it.
    if (!isKeepable(answer)) return;
    // A brake, for an answer to a brake must not wait for a signer either.
    await app.audit.commit({ chain: one.key.workspaceId, brake: true, work: (scope) => one.keep(scope, answer) });
  }

  /** False when the final answer could not be kept: then the early one, which is kept, is also the one to be sent. */
  async function refine(one: KeyedRequest, answer: KeptAnswer): Promise<boolean> {
    if (!isKeepable(answer)) return false;
    const { workspaceId } = one.key;
    try {
      await app.audit.commit({ chain: workspaceId, work: ({ trx }) => replaceKept(trx, one.key, answer) });
      return true;
    } catch (error) {
      app.log.warn({ err: error, workspaceId }, 'the final answer to a request could not be kept');
      return false;
    }
  }
}

function replay(reply: FastifyReply, kept: KeptAnswer): string {
  reply.header('idempotent-replayed', 'true');
  return resend(reply, kept);
}

/** A denial with its row in the ledger; other refusals have left nothing and are decided again. */
function isDecidedDenial(error: unknown): error is CodedError {
  return error instanceof CodedError && 'decisionId' in error.members;
}
