import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';

import { notModified, requireIfMatch, strongEtag } from '../http/etag.ts';
import { WorkspaceParams } from '../http/params.ts';
import type { WorkspaceSettingsService } from './service.ts';
import { WorkspaceSettings, WorkspaceSettingsPatch } from './settings.ts';

const SETTINGS = '/v1/workspaces/:workspaceId/settings';
const tags = ['workspaces'];
const NoQuery = Type.Object({}, { additionalProperties: false });

export interface WorkspaceSettingsRoutesOptions {
  readonly service: Pick<WorkspaceSettingsService, 'get' | 'patch'>;
}

/** Reading and changing what a workspace has set. */
export const workspaceSettingsRoutes: FastifyPluginAsyncTypebox<WorkspaceSettingsRoutesOptions> = async (
  app,
  { service },
) => {
  app.get(
    SETTINGS,
    {
      config: { permission: 'settings.read', audit: [], conditions: ['if-none-match'] },
      schema: {
        operationId: 'getWorkspaceSettings',
        tags,
        summary: 'The settings in force in the workspace; the ETag names them',
        params: WorkspaceParams,
        querystring: NoQuery,
        response: { 200: WorkspaceSettings, 304: Type.Null() },
      },
    },
    async (request, reply) => {
      const { settings, digest } = await service.get(request.params.workspaceId);
      return notModified(request, reply, strongEtag(digest)) ? reply.send(null) : settings;
    },
  );

  app.patch(
    SETTINGS,
    {
      config: {
        permission: 'settings.write',
        audit: ['workspace.settings.changed'],
        conditions: ['if-match'],
      },
      schema: {
        operationId: 'patchWorkspaceSettings',
        tags,
        summary: 'Merge a patch (RFC 7396) into the settings; null takes one back to its default; honours If-Match',
        params: WorkspaceParams,
        body: WorkspaceSettingsPatch,
        response: { 200: WorkspaceSettings },
      },
    },
    async (request, reply) => {
      const { id, kind } = request.principal;
      const caller = { id, kind, traceId: request.traceId };
      const precondition = (digest: string) => requireIfMatch(request, strongEtag(digest));
      const { settings, digest } = await service.patch(request.params.workspaceId, request.body, precondition, caller);
      reply.header('etag', strongEtag(digest));
      return settings;
    },
  );
};
