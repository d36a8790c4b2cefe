import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { WorkspaceParams } from '../http/params.ts';
import { Decision, DecisionList, DecisionParams, ListDecisionsQuery, NoQuery } from './schema.ts';
import { createDecisionService } from './service.ts';

const tags = ['decisions'];

/** Reading the decision ledger; an agent sees its own decisions only. */
export const decisionRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const service = createDecisionService({ storage: app.storage });

  app.get(
    '/v1/workspaces/:workspaceId/decisions',
    {
      config: { permission: 'decisions.read', audit: [], ownOnly: 'handler' },
      schema: {
        operationId: 'listDecisions',
        tags,
        summary: 'Starts, promotions and releases that were decided, in the order of time',
        params: WorkspaceParams,
        querystring: ListDecisionsQuery,
        response: { 200: DecisionList },
      },
    },
    (request) => {
      const { workspaceId } = request.params;
      const own = request.principal.agent?.agentId;
      if (own === undefined) return service.list(workspaceId, request.query);
      request.requireWorkspace(workspaceId, request.query.agentId ?? own);
      return service.list(workspaceId, { ...request.query, agentId: own });
    },
  );

  app.get(
    '/v1/workspaces/:workspaceId/decisions/:decisionId',
    {
      config: { permission: 'decisions.read', audit: [], ownOnly: 'handler' },
      schema: {
        operationId: 'getDecision',
        tags,
        summary: 'One decision',
        params: DecisionParams,
        querystring: NoQuery,
        response: { 200: Decision },
      },
    },
    (request) => {
      const { workspaceId, decisionId } = request.params;
      return service.get(workspaceId, decisionId, request.principal.agent?.agentId);
    },
  );
};
