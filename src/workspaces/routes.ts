import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { WorkspaceParams } from '../http/params.ts';
import { CreateWorkspaceBody, ListWorkspacesQuery, NoQuery, Workspace, WorkspaceList } from './schema.ts';
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
      const workspace = await service.create(request.body, { id, kind, traceId: request.traceId });
      reply.code(201).header('location', `/v1/workspaces/${workspace.workspaceId}`);
      return workspace;
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
