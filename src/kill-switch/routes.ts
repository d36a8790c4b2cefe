import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { callerOf } from '../agents/caller.ts';
import { AgentParams, WorkspaceParams } from '../http/params.ts';
import { EngagedKillSwitch, KillSwitch, KillSwitchBody, NoQuery } from './schema.ts';
import type { KillSwitches } from './service.ts';
import type { KillSwitchTarget } from './target.ts';

const FLEET = '/v1/kill-switch';
const WORKSPACE = '/v1/workspaces/:workspaceId/kill-switch';
const AGENT = '/v1/workspaces/:workspaceId/agents/:agentId/kill-switch';
const tags = ['kill switch'];
const reads = { permission: 'settings.read', audit: [] };
const engages = {
  permission: 'killswitch.write',
  audit: ['killswitch.engaged', 'agent.stopped'],
  lane: 'brake',
} as const;
const clears = { permission: 'killswitch.write', audit: ['killswitch.cleared'] };
const fleet: KillSwitchTarget = { scope: 'fleet' };

export interface KillSwitchRoutesOptions {
  readonly switches: KillSwitches;
}

/** The switch of all workspaces, of one, and of one agent. */
export const killSwitchRoutes: FastifyPluginAsyncTypebox<KillSwitchRoutesOptions> = async (app, { switches }) => {
  app.get(
    FLEET,
    {
      config: { ...reads, scope: 'global' },
      schema: {
        operationId: 'getKillSwitch',
        tags,
        summary: 'Whether every agent is kept from starting',
        querystring: NoQuery,
        response: { 200: KillSwitch },
      },
    },
    () => switches.get(fleet),
  );

  app.put(
    FLEET,
    {
      config: { ...engages, scope: 'global' },
      schema: {
        operationId: 'engageKillSwitch',
        tags,
        summary: 'Keep every agent from starting and stop all that run; needs no signer',
        body: KillSwitchBody,
        response: { 200: EngagedKillSwitch },
      },
    },
    (request) => switches.engage(fleet, request.body.reason, callerOf(request)),
  );

  app.delete(
    FLEET,
    {
      config: { ...clears, scope: 'global' },
      schema: {
        operationId: 'clearKillSwitch',
        tags,
        summary: 'Let agents start again, as far as no other switch is engaged; nothing is started',
        body: KillSwitchBody,
        response: { 200: KillSwitch },
      },
    },
    (request) => switches.clear(fleet, request.body.reason, callerOf(request)),
  );

  app.get(
    WORKSPACE,
    {
      config: reads,
      schema: {
        operationId: 'getWorkspaceKillSwitch',
        tags,
        summary: 'Whether every agent of the workspace is kept from starting',
        params: WorkspaceParams,
        querystring: NoQuery,
        response: { 200: KillSwitch },
      },
    },
    (request) => switches.get(ofWorkspace(request.params)),
  );

  app.put(
    WORKSPACE,
    {
      config: engages,
      schema: {
        operationId: 'engageWorkspaceKillSwitch',
        tags,
        summary: 'Keep every agent of the workspace from starting and stop those that run; needs no signer',
        params: WorkspaceParams,
        body: KillSwitchBody,
        response: { 200: EngagedKillSwitch },
      },
    },
    (request) => switches.engage(ofWorkspace(request.params), request.body.reason, callerOf(request)),
  );

  app.delete(
    WORKSPACE,
    {
      config: clears,
      schema: {
        operationId: 'clearWorkspaceKillSwitch',
        tags,
        summary: 'Let agents of the workspace start again, as far as no other switch is engaged; nothing is started',
        params: WorkspaceParams,
        body: KillSwitchBody,
        response: { 200: KillSwitch },
      },
    },
    (request) => switches.clear(ofWorkspace(request.params), request.body.reason, callerOf(request)),
  );

  app.get(
    AGENT,
    {
      config: { permission: 'agents.read', audit: [] },
      schema: {
        operationId: 'getAgentKillSwitch',
        tags,
        summary: 'Whether the agent is kept from starting by a switch of its own',
        params: AgentParams,
        querystring: NoQuery,
        response: { 200: KillSwitch },
      },
    },
    (request) => switches.get(ofAgent(request.params)),
  );

  app.put(
    AGENT,
    {
      config: engages,
      schema: {
        operationId: 'engageAgentKillSwitch',
        tags,
        summary: 'Keep the agent from starting and stop it in the same transaction; needs no signer',
        params: AgentParams,
        body: KillSwitchBody,
        response: { 200: EngagedKillSwitch },
      },
    },
    (request) => switches.engage(ofAgent(request.params), request.body.reason, callerOf(request)),
  );

  app.delete(
    AGENT,
    {
      config: clears,
      schema: {
        operationId: 'clearAgentKillSwitch',
        tags,
        summary: 'Let the agent start again, as far as no other switch is engaged; it is not started',
        params: AgentParams,
        body: KillSwitchBody,
        response: { 200: KillSwitch },
      },
    },
    (request) => switches.clear(ofAgent(request.params), request.body.reason, callerOf(request)),
  );
};

function ofWorkspace({ workspaceId }: { workspaceId: string }): KillSwitchTarget {
  return { scope: 'workspace', workspaceId };
}

function ofAgent({ workspaceId, agentId }: { workspaceId: string; agentId: string }): KillSwitchTarget {
  return { scope: 'agent', workspaceId, agentId };
}
