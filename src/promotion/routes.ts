import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { callerOf } from '../agents/caller.ts';
import type { AgentView } from '../agents/schema.ts';
import { optionalBody } from '../http/json-body.ts';
import { AgentParams, WorkspaceParams } from '../http/params.ts';
import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import type { PromotionLists } from './lists.ts';
import type { Promote, PromotionAnswer } from './promote.ts';
import type { Release } from './release.ts';
import {
  ListPromotionsQuery,
  NoQuery,
  PendingResult,
  PromoteBody,
  Promotion,
  PromotionList,
  PromotionParams,
  PromotionResult,
  ReleaseBody,
  ReleaseResult,
  VerifyProofBody,
  VerifyProofResult,
} from './schema.ts';
import type { VerifyProof } from './verify-proof.ts';

const WORKSPACE = '/v1/workspaces/:workspaceId';
const AGENT = `${WORKSPACE}/agents/:agentId`;
const tags = ['promotion'];

export interface PromotionRoutesOptions {
  readonly promote: Promote;
  readonly release: Release;
  readonly lists: PromotionLists;
  readonly verifyProof: VerifyProof;
}

/** From sandbox to governed and out of quarantine, and the proofs that come of it. */
export const promotionRoutes: FastifyPluginAsyncTypebox<PromotionRoutesOptions> = async (app, services) => {
  const { promote, release, lists, verifyProof } = services;

  app.post(
    `${AGENT}/promote`,
    {
      config: {
        permission: 'promotion.request',
        audit: [
          'promotion.requested',
          'promotion.approved',
          'promotion.denied',
          'promotion.lapsed',
          'proof.issued',
          'agent.stopped',
        ],
        // By admission, with a decision.
        whileSuspended: 'judged',
      },
      schema: {
        operationId: 'promoteAgent',
        tags,
        summary:
          'Ask the policy to make a sandbox agent a governed one, or approvers where the workspace wants them; a denial is an answer',
        params: AgentParams,
        body: optionalBody(PromoteBody),
        response: { 200: PromotionResult, 202: PendingResult },
      },
    },
    async (request, reply) => {
      const { workspaceId, agentId } = request.params;
      const claim = claimOf(request, promotionAnswer);
      return answerWith(
        reply,
        promotionAnswer(await promote(workspaceId, agentId, request.body ?? {}, callerOf(request), claim)),
      );
    },
  );

  app.post(
    `${AGENT}/release`,
    {
      config: {
        permission: 'agents.quarantine',
        audit: ['agent.released', 'agent.release.denied', 'proof.renewed'],
      },
      schema: {
        operationId: 'releaseAgent',
        tags,
        summary: 'Let a quarantined agent start again, if it passes the checks of a revalidation',
        params: AgentParams,
        body: ReleaseBody,
        response: { 200: ReleaseResult },
      },
    },
    (request) => {
      const { workspaceId, agentId } = request.params;
      return release(workspaceId, agentId, request.body.reason, callerOf(request), claimOf(request));
    },
  );

  app.get(
    `${WORKSPACE}/promotions`,
    {
      config: { permission: 'promotion.read', audit: [] },
      schema: {
        operationId: 'listPromotions',
        tags,
        summary: 'Promotions that were asked for, by id',
        params: WorkspaceParams,
        querystring: ListPromotionsQuery,
        response: { 200: PromotionList },
      },
    },
    (request) => lists.list(request.params.workspaceId, request.query),
  );

  app.get(
    `${WORKSPACE}/promotions/:promotionId`,
    {
      config: { permission: 'promotion.read', audit: [] },
      schema: {
        operationId: 'getPromotion',
        tags,
        summary: 'One promotion',
        params: PromotionParams,
        querystring: NoQuery,
        response: { 200: Promotion },
      },
    },
    (request) => lists.get(request.params.workspaceId, request.params.promotionId),
  );

  app.post(
    `${WORKSPACE}/proofs/verify`,
    {
      config: { permission: 'proofs.verify', audit: [], readOnly: true, ownOnly: 'handler' },
      schema: {
        operationId: 'verifyProof',
        tags,
        summary: 'Whether a proof holds now: signer, signature, time, spec (when given) and the active policy',
        params: WorkspaceParams,
        body: VerifyProofBody,
        response: { 200: VerifyProofResult },
      },
    },
    (request) => verifyProof(request.params.workspaceId, request.body, request.principal.agent?.agentId),
  );
};

/** 202 while approvers have the word. */
function promotionAnswer(body: PromotionAnswer<AgentView>): Answer<PromotionAnswer<AgentView>> {
  return { status: 'state' in body ? 202 : 200, body };
}
