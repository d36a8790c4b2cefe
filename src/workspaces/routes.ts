import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { WorkspaceParams } from '../http/params.ts';
import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import {
  CreateWorkspaceBody,
  ListWorkspacesQuery,
  NoQuery,
  Workspace,
  WorkspaceList,
  type WorkspaceView,
} from './schema.ts';
import type { WorkspaceService } from './service.ts';

const tags = ['workspaces'];

export interface WorkspaceRoutesOptions {
  readonly service: WorkspaceService;
}

/** Creating and finding workspaces. */
export const workspaceRoutes: FastifyPluginAsyncTypebox<WorkspaceRoutesOptions> = async (app, { service }) => {
  app.post(
    '/v1/workspaces',
    {
      config: { permission: 'workspaces.write', audit: ['workspace.created', 'policy.activated'], scope: 'global' },
      schema: {
        operationId: 'createWorkspace',
        tags,
        summary: 'Create a workspace with its audit chain and the shipped policy',
        body: CreateWorkspaceBody,
        response: { 201: Workspace },
      },
    },
    async (request, reply) => {
      const { id, kind } = request.principal;
      const caller = { id, kind, traceId: request.traceId };
      return answerWith(reply, created(await service.create(request.body, caller, claimOf(request, created))));
    },
  );

  app.get(
    '/v1/workspaces',
    {
      config: { permission: 'workspaces.read', audit: [], scope: 'global', ownOnly: 'handler' },
      schema: {
        operationId: 'listWorkspaces',
        tags,
        summary: 'The workspaces the caller may use',
        querystring: ListWorkspacesQuery,
        response: { 200: WorkspaceList },
      },
    },
    (request) => service.list(request.principal.workspaces, request.query),
  );

  app.get(
    '/v1/workspaces/:workspaceId',
    {
      config: { permission: 'workspaces.read', audit: [], ownOnly: 'handler' },
      schema: {
        operationId: 'getWorkspace',
        tags,
        summary: 'One workspace',
        params: WorkspaceParams,
        querystring: NoQuery,
        response: { 200: Workspace },
      },
    },
    (request) => service.get(request.params.workspaceId),
  );
};

function created(workspace: WorkspaceView): Answer<WorkspaceView> {
  return { status: 201, headers: { location: `/v1/workspaces/${workspace.workspaceId}` }, body: workspace };
}
