import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { callerOf } from '../agents/caller.ts';
import type { ScaleAgent } from '../agents/scale.ts';
import type { StartAgent } from '../agents/start.ts';
import type { AgentBrakes } from '../agents/stop.ts';
import { optionalBody } from '../http/json-body.ts';
import { answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import {
  AgentOnlyParams,
  ScaleBody,
  ScaleResult,
  SpawnBody,
  Spawned,
  StartBody,
  Started,
  StopBody,
  Stopped,
} from './schema.ts';
import type { Spawn } from './spawn.ts';
import { okAs, scaledView, spawned, startedView, stoppedView } from './views.ts';
import { findNamedWorkspace, findWorkspaceOfAgent } from './workspace-of.ts';

const AGENT = '/api/v1/agent/:agent_id';
const tags = ['agent manager'];
/** The workspace comes from the body, or is that of the agent. */
const scope = 'agent' as const;

export interface AgentManagerRoutesOptions {
  readonly spawn: Spawn;
  readonly agents: {
    readonly start: StartAgent;
    readonly stop: AgentBrakes['stop'];
    readonly scale: ScaleAgent;
    workspaceOf(agentId: string): Promise<string | undefined>;
  };
}

/** Spawning, starting, stopping and scaling as the callers of an agent manager send it (contract §6). */
export const agentManagerRoutes: FastifyPluginAsyncTypebox<AgentManagerRoutesOptions> = async (
  app,
  { spawn, agents },
) => {
  const found = (agentId: string, request: FastifyRequest) =>
    findWorkspaceOfAgent(request, agentId, agents.workspaceOf);

  app.post(
    '/api/v1/agent/spawn',
    {
      config: {
        permission: 'agents.write',
        manifest: true,
        audit: ['agent.created', 'manifest.accepted', 'manifest.rejected'],
        scope,
      },
      schema: {
        operationId: 'spawnAgent',
        tags,
        summary: 'Create a stopped sandbox agent from a config, a template, or both; nothing is started',
        body: SpawnBody,
        response: { 201: Spawned },
      },
      preHandler: async (request) => {
        findNamedWorkspace(request, request.body.workspace_id, '/workspace_id');
      },
    },
    async (request, reply) => {
      const claim = claimOf(request, spawned);
      const agent = await spawn(request.foundWorkspace, request.body, callerOf(request), claim);
      return answerWith(reply, spawned(agent));
    },
  );

  app.post(
    `${AGENT}/start`,
    {
      config: { permission: 'agents.run', audit: ['agent.start.allowed', 'agent.start.denied'], scope },
      schema: {
        operationId: 'startSpawnedAgent',
        tags,
        summary: 'Start an agent if admission lets it; one that runs is left alone',
        params: AgentOnlyParams,
        body: optionalBody(StartBody),
        response: { 200: Started },
      },
      preHandler: (request) => found(request.params.agent_id, request),
    },
    async (request) => {
      const claim = claimOf(request, okAs(startedView));
      const { agent_id: agentId } = request.params;
      return startedView(
        await agents.start(request.foundWorkspace, agentId, request.body ?? {}, callerOf(request), claim),
      );
    },
  );

  app.post(
    `${AGENT}/stop`,
    {
      config: { permission: 'agents.run', audit: ['agent.stopped'], lane: 'brake', scope },
      schema: {
        operationId: 'stopSpawnedAgent',
        tags,
        summary: 'Stop an agent; needs no signer. One that does not run stays as it is, without an event',
        params: AgentOnlyParams,
        body: optionalBody(StopBody),
        response: { 200: Stopped },
      },
      preHandler: (request) => found(request.params.agent_id, request),
    },
    async (request) => {
      const claim = claimOf(request, okAs(stoppedView));
      const { agent_id: agentId } = request.params;
      return stoppedView(
        await agents.stop(request.foundWorkspace, agentId, request.body ?? {}, callerOf(request), claim),
      );
    },
  );

  app.post(
    `${AGENT}/scale`,
    {
      config: { permission: 'agents.run', audit: ['agent.scaled', 'agent.start.denied'], scope },
      schema: {
        operationId: 'scaleSpawnedAgent',
        tags,
        summary: 'Change the replicas of a running agent; more of them pass admission, as a start does',
        params: AgentOnlyParams,
        body: ScaleBody,
        response: { 200: ScaleResult },
      },
      preHandler: (request) => found(request.params.agent_id, request),
    },
    async (request) => {
      const claim = claimOf(request, okAs(scaledView));
      const { agent_id: agentId } = request.params;
      return scaledView(await agents.scale(request.foundWorkspace, agentId, request.body, callerOf(request), claim));
    },
  );
};
