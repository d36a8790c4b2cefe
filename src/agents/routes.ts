import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';

import { notModified, requireIfMatch, strongEtag } from '../http/etag.ts';
import { optionalBody } from '../http/json-body.ts';
import { AgentParams, WorkspaceParams } from '../http/params.ts';
import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { MANIFEST_EVENTS } from '../manifests/plugin.ts';
import { callerOf } from './caller.ts';
import type { AgentLists } from './lists.ts';
import {
  Agent,
  AgentList,
  type AgentView,
  CreateAgentBody,
  ForkAgentBody,
  ListAgentsQuery,
  ListVersionsQuery,
  NoQuery,
  PatchAgentBody,
  SpecVersionList,
} from './schema.ts';
import type { AgentService, VersionedAgent } from './service.ts';

const AGENTS = '/v1/workspaces/:workspaceId/agents';
const AGENT = `${AGENTS}/:agentId`;
const tags = ['agents'];

export interface AgentRoutesOptions {
  readonly service: AgentService;
  readonly lists: AgentLists;
}

/** What agents are: creating, listing, reading, changing, forking and deleting them. */
export const agentRoutes: FastifyPluginAsyncTypebox<AgentRoutesOptions> = async (app, { service, lists }) => {
  app.post(
    AGENTS,
    {
      config: {
        permission: 'agents.write',
        manifest: true,
        audit: ['agent.created', ...MANIFEST_EVENTS],
        whileSuspended: 'judged',
      },
      schema: {
        operationId: 'createAgent',
        tags,
        summary: 'Create a stopped sandbox agent from a spec, which is stored as sent',
        params: WorkspaceParams,
        body: CreateAgentBody,
        response: { 201: Agent },
      },
    },
    async (request, reply) => {
      const { workspaceId } = request.params;
      const claim = claimOf(request, created);
      return answerWith(reply, created(await service.create(workspaceId, request.body, callerOf(request), claim)));
    },
  );

  app.get(
    AGENTS,
    {
      config: { permission: 'agents.read', audit: [] },
      schema: {
        operationId: 'listAgents',
        tags,
        summary: 'Agents by id; a page may be shorter than its limit when the specs are large',
        params: WorkspaceParams,
        querystring: ListAgentsQuery,
        response: { 200: AgentList },
      },
    },
    (request) => lists.agents(request.params.workspaceId, request.query),
  );

  app.get(
    AGENT,
    {
      config: { permission: 'agents.read', audit: [], conditions: ['if-none-match'] },
      schema: {
        operationId: 'getAgent',
        tags,
        summary: 'One agent; its ETag names the version of the whole agent, run state included',
        params: AgentParams,
        querystring: NoQuery,
        response: { 200: Agent, 304: Type.Null() },
      },
    },
    async (request, reply) => {
      const { agent, rowVersion } = await service.get(request.params.workspaceId, request.params.agentId);
      return notModified(request, reply, etag(rowVersion)) ? reply.send(null) : agent;
    },
  );

  app.patch(
    AGENT,
    {
      config: {
        permission: 'agents.write',
        manifest: true,
        audit: ['agent.updated', ...MANIFEST_EVENTS],
        whileSuspended: 'judged',
        conditions: ['if-match'],
      },
      schema: {
        operationId: 'patchAgent',
        tags,
        summary: 'Merge a patch (RFC 7396) into the spec of a sandbox agent that does not run; honours If-Match',
        params: AgentParams,
        body: PatchAgentBody,
        response: { 200: Agent },
      },
    },
    async (request, reply) => {
      const { workspaceId, agentId } = request.params;
      const precondition = (rowVersion: number) => requireIfMatch(request, etag(rowVersion));
      const patched = await service.patch(workspaceId, agentId, request.body, precondition, callerOf(request));
      reply.header('etag', etag(patched.rowVersion));
      return patched.agent;
    },
  );

  app.delete(
    AGENT,
    {
      config: {
        permission: 'agents.write',
        audit: ['agent.deleted'],
        whileSuspended: 'judged',
        conditions: ['if-match'],
      },
      schema: {
        operationId: 'deleteAgent',
        tags,
        summary: 'Delete an agent that does not run; its specs and proofs stay as evidence; honours If-Match',
        params: AgentParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { workspaceId, agentId } = request.params;
      const precondition = (rowVersion: number) => requireIfMatch(request, etag(rowVersion));
      await service.remove(workspaceId, agentId, callerOf(request), { precondition });
      return reply.code(204).send(null);
    },
  );

  app.post(
    `${AGENT}/fork`,
    {
      config: {
        permission: 'agents.write',
        manifest: true,
        audit: ['agent.forked', ...MANIFEST_EVENTS],
        whileSuspended: 'judged',
      },
      schema: {
        operationId: 'forkAgent',
        tags,
        summary: 'A new sandbox agent with the spec of this one',
        params: AgentParams,
        body: optionalBody(ForkAgentBody),
        response: { 201: Agent },
      },
    },
    async (request, reply) => {
      const { workspaceId, agentId } = request.params;
      const claim = claimOf(request, created);
      const fork = await service.fork(workspaceId, agentId, request.body ?? {}, callerOf(request), claim);
      return answerWith(reply, created(fork));
    },
  );

  app.get(
    `${AGENT}/versions`,
    {
      config: { permission: 'agents.read', audit: [] },
      schema: {
        operationId: 'listAgentVersions',
        tags,
        summary: 'Every version of the spec, the oldest first; also of a deleted agent',
        params: AgentParams,
        querystring: ListVersionsQuery,
        response: { 200: SpecVersionList },
      },
    },
    (request) => lists.versions(request.params.workspaceId, request.params.agentId, request.query),
  );
};

function created({ agent, rowVersion }: VersionedAgent): Answer<AgentView> {
  const location = `/v1/workspaces/${agent.workspaceId}/agents/${agent.id}`;
  return { status: 201, headers: { etag: etag(rowVersion), location }, body: agent };
}

function etag(rowVersion: number): string {
  return strongEtag(String(rowVersion));
}
