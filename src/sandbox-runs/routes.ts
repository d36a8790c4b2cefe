import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { callerOf } from '../agents/caller.ts';
import { MAX_CONNECTION_AGE } from '../http/drain.ts';
import { optionalBody } from '../http/json-body.ts';
import { RetryLater } from '../http/problem.ts';
import { readerGone } from '../http/reader-gone.ts';
import { answerWith, ok } from '../idempotency/answer.ts';
import { claimOf, itemsOf } from '../idempotency/keyed-request.ts';
import type { RunReads } from './reads.ts';
import {
  AgentOnlyParams,
  CancelBody,
  Events,
  ListRunsQuery,
  MAX_TIMEOUT,
  NoQuery,
  Queued,
  Run,
  RunBody,
  RunList,
  RunParams,
} from './schema.ts';
import type { SandboxRuns } from './service.ts';
import type { RunRow } from './store.ts';
import type { FollowRun } from './stream.ts';
import type { RunKey } from './units.ts';
import { accepted, runView } from './views.ts';

const RUN = '/api/v1/agent/:agent_id/sandbox/run';
const RUNS = '/api/v1/agent/:agent_id/sandbox/runs';
const ONE = `${RUNS}/:run_id`;
const tags = ['sandbox runs'];
/** The workspace is that of the agent. */
const scope = 'agent' as const;
/** Ms; the handler's own limit is the time of its run and 5 s, which is always less. */
const LONGEST = (MAX_TIMEOUT + 10) * 1000;
/** Readers of live output at once on this replica. */
const MAX_READERS = 256;

/** One that is cancelled is so by another request, or by what forbids it to go on. */
const ENDS = [
  'sandbox.run.completed',
  'sandbox.run.failed',
  'sandbox.run.timeout',
  'sandbox.run.killed',
  'sandbox.run.error',
] as const;

export interface SandboxRunRoutesOptions {
  readonly runs: Pick<SandboxRuns, 'run' | 'enqueue' | 'cancel'>;
  readonly reads: RunReads;
  readonly follow: FollowRun;
  /** Gives back the place of a request that goes on for long. */
  readonly releasePlace: (request: FastifyRequest) => void;
  /** Finds the workspace of the agent, and that it is the caller's. */
  readonly findWorkspace: (request: FastifyRequest, agentId: string) => Promise<void>;
  /** Fires when the service closes. */
  readonly closing: AbortSignal;
}

/** Trying commands in a sandbox as the callers of an agent manager send it (contract §6). */
export const sandboxRunRoutes: FastifyPluginAsyncTypebox<SandboxRunRoutesOptions> = async (
  app,
  { runs, reads, follow, releasePlace, findWorkspace, closing },
) => {
  let readers = 0;

  app.post(
    RUN,
    {
      config: {
        permission: 'sandbox.run',
        audit: ['sandbox.run.created', 'sandbox.run.denied', ...ENDS],
        scope,
        whileSuspended: 'judged',
      },
      handlerTimeout: LONGEST,
      schema: {
        operationId: 'runSandbox',
        tags,
        summary:
          'Run commands in a sandbox of their own, and wait for what comes of them unless async; the agent itself is not run',
        params: AgentOnlyParams,
        body: RunBody,
        response: { 200: Run, 202: Queued },
      },
      preHandler: (request) => findWorkspace(request, request.params.agent_id),
    },
    async (request, reply) => {
      const { agent_id: agentId } = request.params;
      const { foundWorkspace: workspaceId, body } = request;
      const caller = callerOf(request);
      if (body.async === true) {
        return answerWith(
          reply,
          accepted(await runs.enqueue(workspaceId, agentId, body, caller, claimOf(request, accepted))),
        );
      }
      // Runs have bounds of their own, and last.
      releasePlace(request);
      const items = itemsOf<RunKey>(request);
      // Its run is there, only the answer was not kept.
      if (items?.find('run') !== undefined) reply.header('idempotent-replayed', 'true');
      const kept = { items, denial: claimOf<never>(request) };
      return runs.run(workspaceId, agentId, body, caller, kept);
    },
  );

  app.get(
    RUNS,
    {
      config: { permission: 'agents.read', audit: [], scope },
      schema: {
        operationId: 'listSandboxRuns',
        tags,
        summary: 'Sandbox runs of the agent by id, that is by time, without results',
        params: AgentOnlyParams,
        querystring: ListRunsQuery,
        response: { 200: RunList },
      },
      preHandler: (request) => findWorkspace(request, request.params.agent_id),
    },
    (request) => reads.list(request.foundWorkspace, request.params.agent_id, request.query),
  );

  app.get(
    ONE,
    {
      config: { permission: 'agents.read', audit: [], scope },
      schema: {
        operationId: 'getSandboxRun',
        tags,
        summary: 'A sandbox run as far as it has come, with its results once it has ended',
        params: RunParams,
        querystring: NoQuery,
        response: { 200: Run },
      },
      preHandler: (request) => findWorkspace(request, request.params.agent_id),
    },
    async (request) => {
      const { agent_id: agentId, run_id: runId } = request.params;
      return runView(await reads.get(request.foundWorkspace, agentId, runId));
    },
  );

  app.get(
    `${ONE}/output`,
    {
      config: { permission: 'agents.read', audit: [], scope },
      exposeHeadRoute: false,
      schema: {
        operationId: 'followSandboxRun',
        tags,
        summary:
          'The output of a sandbox run as server-sent events while it comes, or from what is kept; Last-Event-ID resumes',
        params: RunParams,
        querystring: NoQuery,
        response: { 200: Events },
      },
      preHandler: (request) => findWorkspace(request, request.params.agent_id),
    },
    async (request, reply) => {
      const { agent_id: agentId, run_id: runId } = request.params;
      const key = { workspaceId: request.foundWorkspace, agentId, runId };
      await reads.get(key.workspaceId, agentId, runId);
      if (readers >= MAX_READERS) throw new RetryLater('OVERLOADED', 'Too many follow the output of runs here.', 2000);
      readers += 1;
      const signal = AbortSignal.any([
        readerGone(reply, () => (readers -= 1)),
        closing,
        AbortSignal.timeout(MAX_CONNECTION_AGE),
      ]);
      const lastId = request.headers['last-event-id'];
      const events = follow(key, typeof lastId === 'string' ? lastId : undefined, signal);
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').type('text/event-stream');
      return reply.send(Readable.from(events, { objectMode: false, highWaterMark: 65_536 }));
    },
  );

  app.post(
    `${ONE}/cancel`,
    {
      config: { permission: 'sandbox.run', audit: ['sandbox.run.cancelled'], scope, lane: 'brake' },
      schema: {
        operationId: 'cancelSandboxRun',
        tags,
        summary: 'End a sandbox run that waits or runs; one that has ended stays as it is, without an event',
        params: RunParams,
        body: optionalBody(CancelBody),
        response: { 200: Run },
      },
      preHandler: (request) => findWorkspace(request, request.params.agent_id),
    },
    async (request) => {
      const { agent_id: agentId, run_id: runId } = request.params;
      const claim = claimOf(request, (row: RunRow) => ok(runView(row)));
      return runs.cancel({ workspaceId: request.foundWorkspace, agentId, runId }, callerOf(request), claim);
    },
  );
};
