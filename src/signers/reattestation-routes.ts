import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { WorkspaceParams } from '../http/params.ts';
import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import { createReattestations } from './reattestation.ts';
import { Reattestation, type ReattestationView, ReattestBody } from './reattestation-schema.ts';
import { callerOf } from './step-routes.ts';

const tags = ['signers'];
const vouching = { permission: 'signers.write', audit: ['audit.range.reattested'], whileSuspended: 'allowed' } as const;

/** Vouching anew for events whose signer was compromised. */
export const reattestationRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { reattest } = createReattestations({ storage: app.storage, audit: app.audit });

  app.post(
    '/v1/workspaces/:workspaceId/audit/reattestations',
    {
      config: vouching,
      schema: {
        operationId: 'reattestAudit',
        tags,
        summary: "Vouch for the events of the workspace's chain that a compromised signer left in doubt",
        params: WorkspaceParams,
        body: ReattestBody,
        response: { 201: Reattestation },
      },
    },
    async (request, reply) => {
      const { workspaceId } = request.params;
      const view = await reattest(workspaceId, request.body, callerOf(request), claimOf(request, vouched));
      return answerWith(reply, vouched(view));
    },
  );

  app.post(
    '/v1/audit/reattestations',
    {
      config: { ...vouching, scope: 'global', allWorkspaces: true },
      schema: {
        operationId: 'reattestSystemAudit',
        tags,
        summary: 'Vouch for the events of the chain _system that a compromised signer left in doubt',
        body: ReattestBody,
        response: { 201: Reattestation },
      },
    },
    async (request, reply) => {
      const view = await reattest(SYSTEM_CHAIN, request.body, callerOf(request), claimOf(request, vouched));
      return answerWith(reply, vouched(view));
    },
  );
};

function vouched(view: ReattestationView): Answer<ReattestationView> {
  return { status: 201, body: view };
}
