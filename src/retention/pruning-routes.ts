import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Static } from '@sinclair/typebox';

import { createCheckpointProofs } from '../checkpoints/proofs.ts';
import type { Clock } from '../clock.ts';
import { WorkspaceParams } from '../http/params.ts';
import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import { callerOf } from './caller.ts';
import { createPrunings } from './pruning.ts';
import { PruneBody, PruningSchema } from './pruning-schema.ts';

const tags = ['audit'];
const approval = { permission: 'audit.prune', audit: ['audit.pruned'] };

/** Approving the removal of old events; `castellan audit prune` then removes them, with a login of its own. */
export const pruningRoutes: FastifyPluginAsyncTypebox<{ readonly clock: Clock }> = async (app, { clock }) => {
  const { storage, audit } = app;
  const prunings = createPrunings({ storage, audit, clock, proofs: createCheckpointProofs(storage) });

  app.post(
    '/v1/workspaces/:workspaceId/audit/prunings',
    {
      config: approval,
      schema: {
        operationId: 'pruneAudit',
        tags,
        summary: "Approve the removal of the oldest events of the workspace's chain, which a checkpoint covers",
        params: WorkspaceParams,
        body: PruneBody,
        response: { 201: PruningSchema },
      },
    },
    async (request, reply) => {
      const { workspaceId } = request.params;
      const claim = claimOf(request, approved);
      return answerWith(reply, approved(await prunings.approve(workspaceId, request.body, callerOf(request), claim)));
    },
  );

  app.post(
    '/v1/audit/prunings',
    {
      config: { ...approval, scope: 'global', allWorkspaces: true },
      schema: {
        operationId: 'pruneSystemAudit',
        tags,
        summary: 'Approve the removal of the oldest events of the chain _system, which a checkpoint covers',
        body: PruneBody,
        response: { 201: PruningSchema },
      },
    },
    async (request, reply) => {
      const claim = claimOf(request, approved);
      return answerWith(reply, approved(await prunings.approve(SYSTEM_CHAIN, request.body, callerOf(request), claim)));
    },
  );
};

function approved(view: Static<typeof PruningSchema>): Answer<Static<typeof PruningSchema>> {
  return { status: 201, body: view };
}
