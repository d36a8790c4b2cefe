import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';

import { callerOf } from '../agents/caller.ts';
import { known } from '../agents/lookup.ts';
import { StopResult } from '../agents/schema.ts';
import type { AgentBrakes } from '../agents/stop.ts';
import { MAX_CONNECTION_AGE } from '../http/drain.ts';
import { AgentParams } from '../http/params.ts';
import { RetryLater } from '../http/problem.ts';
import { readerGone } from '../http/reader-gone.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { AccessDenied } from '../identity/errors.ts';
import { LogList, LogsQuery } from './logs/schema.ts';
import type { AgentLogs } from './logs/service.ts';
import type { IsStopToken } from './stop-token.ts';

const AGENT = '/v1/workspaces/:workspaceId/agents/:agentId';
const tags = ['running'];
/** Readers of live output at once on this replica. */
const MAX_READERS = 256;

const EmergencyStopBody = Type.Object(
  { stopToken: Type.String({ minLength: 1, maxLength: 256, description: "human.stopToken of the agent's spec" }) },
  { additionalProperties: false },
);

export interface SupervisorRoutesOptions {
  readonly logs: AgentLogs;
  readonly isStopToken: IsStopToken;
  readonly stop: AgentBrakes['stop'];
  /** Gives back the place of a request that goes on for long. */
  readonly releasePlace: (request: FastifyRequest) => void;
  /** Fires when the service closes. */
  readonly closing: AbortSignal;
}

/** What agents say, and the stop by a token that their spec names. */
export const supervisorRoutes: FastifyPluginAsyncTypebox<SupervisorRoutesOptions> = async (
  app,
  { logs, isStopToken, stop, releasePlace, closing },
) => {
  let readers = 0;

  app.get(
    `${AGENT}/logs`,
    {
      config: { permission: 'agents.read', audit: [] },
      exposeHeadRoute: false,
      schema: {
        operationId: 'getAgentLogs',
        tags,
        summary: 'What the processes of an agent have written, as far as it is kept; with follow as it comes',
        params: AgentParams,
        querystring: LogsQuery,
        response: {
          200: {
            content: {
              'application/json': { schema: LogList },
              'text/event-stream': {
                schema: Type.Unsafe<Readable>({ type: 'string', description: 'Events `output`, each an entry' }),
              },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const { workspaceId, agentId } = request.params;
      const agent = { workspaceId, agentId: known(agentId) };
      if (request.query.follow !== true) return logs.list(agent, request.query);
      if (readers >= MAX_READERS)
        throw new RetryLater('OVERLOADED', 'Too many follow the output of agents here.', 2000);
      readers += 1;
      const signal = AbortSignal.any([
        readerGone(reply, () => (readers -= 1)),
        closing,
        AbortSignal.timeout(MAX_CONNECTION_AGE),
      ]);
      const lastId = request.headers['last-event-id'];
      const from = { lastEventId: typeof lastId === 'string' ? lastId : undefined, tail: request.query.tail };
      const events = await logs.follow(agent, from, signal);
      releasePlace(request);
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').type('text/event-stream');
      return reply.send(Readable.from(events, { objectMode: false, highWaterMark: 65_536 }));
    },
  );

  app.post(
    `${AGENT}/emergency-stop`,
    {
      config: {
        permission: 'agents.emergency-stop',
        audit: ['agent.stopped', 'access.denied'],
        lane: 'brake',
      },
      schema: {
        operationId: 'emergencyStopAgent',
        tags,
        summary: 'Stop an agent at once, without grace, by the stop token that its spec names; needs no signer',
        params: AgentParams,
        body: EmergencyStopBody,
        response: { 200: StopResult },
      },
    },
    async (request) => {
      const { workspaceId, agentId } = request.params;
      if (!(await isStopToken({ workspaceId, agentId: known(agentId) }, request.body.stopToken))) {
        throw refused(request, workspaceId);
      }
      return stop(workspaceId, agentId, { cause: 'stop-token' }, callerOf(request), claimOf(request));
    },
  );
};

function refused(request: FastifyRequest, workspaceId: string): AccessDenied {
  const { method, principal } = request;
  const route = request.routeOptions.url ?? '';
  const access = { chain: workspaceId, reason: 'STOP_TOKEN' as const, principalId: principal.id, method, route };
  return new AccessDenied('STOP_TOKEN_INVALID', access, 'It is not the stop token of the agent.');
}
