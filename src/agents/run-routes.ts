import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { optionalBody } from '../http/json-body.ts';
import { AgentParams, WorkspaceParams } from '../http/params.ts';
import { claimOf, itemsOf } from '../idempotency/keyed-request.ts';
import type { RunBatch } from './batch.ts';
import { callerOf } from './caller.ts';
import { governanceOf } from './governance.ts';
import type { AgentLists } from './lists.ts';
import { found, known } from './lookup.ts';
import {
  AgentRunStatus,
  BatchBody,
  BatchResult,
  GovernanceResult,
  ListStatusesQuery,
  NoQuery,
  QuarantineBody,
  StartAgentBody,
  StartResult,
  StatusList,
  StopAgentBody,
  StopResult,
} from './schema.ts';
import type { StartAdmission, StartAgent } from './start.ts';
import type { AgentBrakes } from './stop.ts';

const AGENTS = '/v1/workspaces/:workspaceId/agents';
const AGENT = `${AGENTS}/:agentId`;
const tags = ['running'];

/** ms; a batch has as many agents as take some seconds when the machine is busy. */
const BATCH_TIMEOUT = 60_000;

export interface RunRoutesOptions {
  readonly start: StartAgent;
  readonly brakes: AgentBrakes;
  readonly lists: AgentLists;
  readonly batch: RunBatch;
  readonly admission: Pick<StartAdmission, 'load'>;
}

/** Whether agents run: starting, stopping and quarantining them, and how they stand. */
export const runRoutes: FastifyPluginAsyncTypebox<RunRoutesOptions> = async (app, options) => {
  const { start, brakes, lists, batch, admission } = options;

  app.post(
    `${AGENT}/start`,
    {
      config: {
        permission: 'agents.run',
        audit: ['agent.start.allowed', 'agent.start.denied'],
        whileSuspended: 'judged',
      },
      schema: {
        operationId: 'startAgent',
        tags,
        summary: 'Start an agent if admission lets it; one that runs is left alone',
        params: AgentParams,
        body: optionalBody(StartAgentBody),
        response: { 200: StartResult },
      },
    },
    (request) => {
      const { workspaceId, agentId } = request.params;
      return start(workspaceId, agentId, request.body ?? {}, callerOf(request), claimOf(request));
    },
  );

  app.post(
    `${AGENT}/stop`,
    {
      config: { permission: 'agents.run', audit: ['agent.stopped'], lane: 'brake' },
      schema: {
        operationId: 'stopAgent',
        tags,
        summary: 'Stop an agent; needs no signer. One that does not run stays as it is, without an event',
        params: AgentParams,
        body: optionalBody(StopAgentBody),
        response: { 200: StopResult },
      },
    },
    (request) => {
      const { workspaceId, agentId } = request.params;
      return brakes.stop(workspaceId, agentId, request.body ?? {}, callerOf(request), claimOf(request));
    },
  );

  app.post(
    `${AGENT}/quarantine`,
    {
      config: { permission: 'agents.quarantine', audit: ['agent.quarantined'], lane: 'brake' },
      schema: {
        operationId: 'quarantineAgent',
        tags,
        summary: 'Stop an agent and forbid its start until a release; needs no signer',
        params: AgentParams,
        body: QuarantineBody,
        response: { 200: StopResult },
      },
    },
    (request) => {
      const { workspaceId, agentId } = request.params;
      return brakes.quarantine(workspaceId, agentId, request.body.reason, callerOf(request), claimOf(request));
    },
  );

  app.get(
    `${AGENT}/status`,
    {
      config: { permission: 'agents.read', audit: [] },
      schema: {
        operationId: 'getAgentStatus',
        tags,
        summary: 'The run state of one agent',
        params: AgentParams,
        querystring: NoQuery,
        response: { 200: AgentRunStatus },
      },
    },
    (request) => lists.status(request.params.workspaceId, request.params.agentId),
  );

  app.get(
    `${AGENTS}/statuses`,
    {
      config: { permission: 'agents.read', audit: [] },
      schema: {
        operationId: 'listAgentStatuses',
        tags,
        summary: 'Run states by agent id, by page number or, at any depth for the same cost, by cursor',
        params: WorkspaceParams,
        querystring: ListStatusesQuery,
        response: { 200: StatusList },
      },
    },
    (request) => lists.statuses(request.params.workspaceId, request.query),
  );

  app.get(
    `${AGENT}/governance`,
    {
      config: { permission: 'agents.read', audit: [] },
      schema: {
        operationId: 'getAgentGovernance',
        tags,
        summary: 'How the agent stands with the policy of its workspace, with its proof',
        params: AgentParams,
        querystring: NoQuery,
        response: { 200: GovernanceResult },
      },
    },
    async (request) => {
      const { workspaceId, agentId } = request.params;
      const subject = found(await admission.load(workspaceId, known(agentId), callerOf(request)));
      // A statement over several agents names the others, and who promoted them.
      return { governance: governanceOf(subject, { ownOnly: request.principal.agent !== undefined }) };
    },
  );

  app.post(
    // A colon that is part of the path is written twice for the router.
    `${AGENTS}::batch`,
    {
      handlerTimeout: BATCH_TIMEOUT,
      config: {
        permission: 'agents.run',
        audit: [
          'agent.start.allowed',
          'agent.start.denied',
          'agent.stopped',
          'agent.deleted',
          'promotion.requested',
          'promotion.approved',
          'promotion.denied',
          'promotion.lapsed',
          'proof.issued',
        ],
        whileSuspended: 'judged',
      },
      schema: {
        operationId: 'batchAgents',
        tags,
        summary: 'One action on up to 200 agents, with an outcome for each; never all or nothing',
        params: WorkspaceParams,
        body: BatchBody,
        response: { 200: BatchResult },
      },
    },
    async (request) => ({
      results: await batch(request.params.workspaceId, request.body, callerOf(request), itemsOf(request)),
    }),
  );
};
