import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { callerOf } from '../agents/caller.ts';
import { optionalBody } from '../http/json-body.ts';
import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { AccessDenied } from '../identity/errors.ts';
import type { ApprovalAnswer, PromotionDecisions } from './decide.ts';
import { OwnRequest } from './errors.ts';
import { ApprovalResult, ApproveBody, PendingResult, PromotionParams, RejectBody, RejectionResult } from './schema.ts';

const PROMOTION = '/v1/workspaces/:workspaceId/promotions/:promotionId';
const tags = ['promotion'];

/** What approvers do with promotions that wait for them. */
export const promotionDecisionRoutes: FastifyPluginAsyncTypebox<{ readonly decisions: PromotionDecisions }> = async (
  app,
  { decisions },
) => {
  app.post(
    `${PROMOTION}/approve`,
    {
      config: {
        permission: 'promotion.decide',
        audit: [
          'promotion.approval.given',
          'promotion.approved',
          'promotion.denied',
          'promotion.lapsed',
          'proof.issued',
          'agent.stopped',
        ],
      },
      schema: {
        operationId: 'approvePromotion',
        tags,
        summary: 'Approve a promotion that somebody else asked for; the last approval has the policy decide',
        params: PromotionParams,
        body: optionalBody(ApproveBody),
        response: { 200: ApprovalResult, 202: PendingResult },
      },
    },
    async (request, reply) => {
      const { workspaceId, promotionId } = request.params;
      requireHuman(request, workspaceId);
      const claim = claimOf(request, approvalAnswer);
      const { comment } = request.body ?? {};
      const approved = decisions.approve(workspaceId, promotionId, comment, callerOf(request), claim);
      return answerWith(reply, approvalAnswer(await approved.catch(refuseOwn(request, workspaceId))));
    },
  );

  app.post(
    `${PROMOTION}/reject`,
    {
      config: { permission: 'promotion.decide', audit: ['promotion.rejected', 'promotion.lapsed'] },
      schema: {
        operationId: 'rejectPromotion',
        tags,
        summary: 'Reject a promotion that somebody else asked for; one rejection ends it',
        params: PromotionParams,
        body: RejectBody,
        response: { 200: RejectionResult },
      },
    },
    (request) => {
      const { workspaceId, promotionId } = request.params;
      const { reason } = request.body;
      return decisions
        .reject(workspaceId, promotionId, reason, callerOf(request), claimOf(request))
        .catch(refuseOwn(request, workspaceId));
    },
  );
};

/** 202 while more approvals are needed. */
function approvalAnswer(body: ApprovalAnswer): Answer<ApprovalAnswer> {
  return { status: body.state === 'pending' ? 202 : 200, body };
}

/** An approval is a human's answer, whatever the roles of a service; a rejection only ever restricts. */
function requireHuman(request: FastifyRequest, workspaceId: string): void {
  if (request.principal.kind === 'human') return;
  throw refusal(request, workspaceId, 'NOT_A_HUMAN', 'an approval is given by a human');
}

/** Thrown on as the refusal of a known caller, which is audited as any other. */
function refuseOwn(request: FastifyRequest, workspaceId: string) {
  return (error: unknown): never => {
    if (!(error instanceof OwnRequest)) throw error;
    throw refusal(request, workspaceId, 'OWN_REQUEST', error.message);
  };
}

function refusal(
  { method, routeOptions, principal }: FastifyRequest,
  workspaceId: string,
  reason: 'NOT_A_HUMAN' | 'OWN_REQUEST',
  message: string,
): AccessDenied {
  const where = { chain: workspaceId, workspaceId, method, route: routeOptions.url ?? 'unmatched' };
  return new AccessDenied('PERMISSION_DENIED', { ...where, reason, principalId: principal.id }, message);
}
