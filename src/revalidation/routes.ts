import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';

import { optionalBody } from '../http/json-body.ts';
import { WorkspaceParams } from '../http/params.ts';
import { NotFound } from '../http/problem.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { isUuid } from '../ids.ts';
import { RevalidateAnswer, RevalidateBody, RevalidationParams, RevalidationSchema } from './schema.ts';
import { type RevalidationService, stateOf } from './service.ts';

/** Ms a caller waits for the end before it is answered "running" (contract §5). */
const WAIT_MS = 5000;

/** Asking for a second look at governed agents, and how far it is. */
export const revalidationRoutes: FastifyPluginAsyncTypebox<{ revalidation: RevalidationService }> = async (
  app,
  { revalidation },
) => {
  app.post(
    '/v1/workspaces/:workspaceId/policy/revalidate',
    {
      config: {
        permission: 'policy.revalidate',
        audit: [
          'revalidation.requested',
          'agent.revalidated',
          'agent.invalidated',
          'proof.renewed',
          'proof.mass.renewed',
        ],
      },
      schema: {
        operationId: 'revalidateAgents',
        tags: ['policy'],
        summary: 'Check governed agents against the active policy',
        params: WorkspaceParams,
        body: optionalBody(RevalidateBody),
        response: { 200: RevalidateAnswer },
      },
    },
    async (request) => {
      const { agentIds } = request.body ?? {};
      // An id that cannot be one is an agent that is not there.
      if (agentIds?.some((id) => !isUuid(id)) === true) throw new NotFound();
      const { id, kind } = request.principal;
      const caller = { actor: { id, kind }, traceId: request.traceId };
      return revalidation.request(request.params.workspaceId, agentIds, caller, WAIT_MS, claimOf(request));
    },
  );

  app.get(
    '/v1/workspaces/:workspaceId/policy/revalidations/:revalidationId',
    {
      config: { permission: 'policy.read', audit: [] },
      schema: {
        operationId: 'getRevalidation',
        tags: ['policy'],
        summary: 'How far a revalidation is',
        params: RevalidationParams,
        querystring: Type.Object({}, { additionalProperties: false }),
        response: { 200: RevalidationSchema },
      },
    },
    async ({ params: { workspaceId, revalidationId } }) => {
      if (!isUuid(revalidationId)) throw new NotFound();
      const row = await revalidation.find(workspaceId, revalidationId);
      return {
        ...stateOf(row),
        cause: row.cause,
        policyHash: row.policy_hash,
        createdAt: row.created_at.toISOString(),
        updatedAt: row.updated_at.toISOString(),
      };
    },
  );
};
