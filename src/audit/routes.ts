import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { WorkspaceParams } from '../http/params.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import { listEvents } from './query.ts';
import { EventPage, ListEventsQuery } from './schema.ts';

/** Reading the audit: a workspace's chain, and the system chain for those who may use every workspace. */
export const auditRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/v1/workspaces/:workspaceId/audit/events',
    {
      config: { permission: 'audit.read', audit: [] },
      schema: {
        operationId: 'listAuditEvents',
        tags: ['audit'],
        summary: "Events of the workspace's chain, by seq ascending",
        params: WorkspaceParams,
        querystring: ListEventsQuery,
        response: { 200: EventPage },
      },
    },
    (request) =>
      app.storage.read(request.params.workspaceId, (trx) => listEvents(trx, request.params.workspaceId, request.query)),
  );

  app.get(
    '/v1/audit/events',
    {
      config: { permission: 'audit.read', audit: [], scope: 'global', allWorkspaces: true },
      schema: {
        operationId: 'listSystemAuditEvents',
        tags: ['audit'],
        summary: 'Events that belong to no workspace (chain _system), by seq ascending',
        querystring: ListEventsQuery,
        response: { 200: EventPage },
      },
    },
    (request) => app.storage.read(SYSTEM_CHAIN, (trx) => listEvents(trx, SYSTEM_CHAIN, request.query)),
  );
};
