import type { Denial } from '../admission/check.ts';
import { requireUnchanged } from '../admission/unchanged.ts';
import type { Caller } from '../agents/caller.ts';
import type { AgentView } from '../agents/schema.ts';
import type { Claim, UnitScope } from '../audit/append.ts';
import { retryStale } from '../audit/retry.ts';
import { type Clock, timestamp } from '../clock.ts';
import { createConclusion } from './conclude.ts';
import { PromotionRefused } from './errors.ts';
import { asDigest, issueNewProof, type ProofApproval } from './issue.ts';
import { createOpenPromotions, type Open } from './open.ts';
import { requireFirstApproval } from './pending.ts';
import { insertApproval, pendingOf, type StoredPromotion, storeRejection } from './pending-store.ts';
import type { DecidedAnswer, PromoteParts } from './promote.ts';
import type { PendingView, RejectedView } from './schema.ts';
import { obstaclesOf } from './standing.ts';
import { wire } from './wire.ts';

/**
 * What approvers do with a pending promotion, each under its chain's lock, so that it ends once. NotFound, OwnRequest, and
 * ApprovalConflict for one that is over: what is found to have lapsed is ended by whoever finds it.
 */
export interface PromotionDecisions {
  /**
   * One more approval. The last one has the policy decide about the approver: the agent becomes governed, or the promotion
   * is denied. PromotionRefused when the agent cannot be promoted at all any more: that ends it, too.
   */
  approve(
    workspaceId: string,
    promotionId: string,
    comment: string | undefined,
    caller: Caller,
    claim?: Claim<ApprovalOutcome>,
  ): Promise<ApprovalAnswer>;
  reject(
    workspaceId: string,
    promotionId: string,
    reason: string,
    caller: Caller,
    claim?: Claim<RejectedView>,
  ): Promise<RejectedView>;
}

type Decided = DecidedAnswer<AgentView>;
export type ApprovalAnswer =
  | (Extract<Decided, { success: true }> & { readonly state: 'approved' })
  | (Extract<Decided, { success: false }> & { readonly state: 'denied' })
  | PendingView;
/** What an approval comes to: an answer, or a refusal that is thrown once it is committed. */
export type ApprovalOutcome = ApprovalAnswer | PromotionRefused;

/** An approval that is about to be given. */
interface Giving extends Open {
  readonly approval: ProofApproval;
  readonly comment: string | undefined;
  readonly caller: Caller;
}

export function createDecisions(parts: PromoteParts & { readonly clock: Clock }): PromotionDecisions {
  const { audit, admission, issuer, clock } = parts;
  const { requireOpen, hold } = createOpenPromotions(parts);
  const conclusion = createConclusion(parts);

  async function approveOnce(
    workspaceId: string,
    promotionId: string,
    comment: string | undefined,
    caller: Caller,
    claim: Claim<ApprovalOutcome> | undefined,
  ): Promise<ApprovalOutcome> {
    const open = await requireOpen(workspaceId, promotionId, caller);
    const { stored, subject, approvalsRequired } = open;
    requireFirstApproval(pendingOf(stored), caller.id);
    const obstacles = await obstaclesOf(admission, subject);
    if (obstacles.length > 0) return refuse(open, obstacles, caller, claim);
    const { id, roles } = caller;
    const policyHash = asDigest(subject.policy.hash);
    const approval = { id, roles: [...roles], policyHash, approvedAt: timestamp(clock()) };
    const giving: Giving = { ...open, approval, comment, caller };
    return stored.approvals.length + 1 < approvalsRequired ? giveOne(giving, claim) : giveLast(giving, claim);
  }

  /** Nobody approves what may not even start: the promotion ends. */
  function refuse(
    open: Open,
    denies: readonly Denial[],
    caller: Caller,
    claim: Claim<ApprovalOutcome> | undefined,
  ): Promise<ApprovalOutcome> {
    const promotionId = open.stored.row.id;
    const one = { promotionId, subject: open.subject, judgement: { denies }, caller };
    return conclusion.commit<ApprovalOutcome & { readonly decisionId: string }>(one, claim, async (scope) => {
      await hold(scope, open);
      return new PromotionRefused(promotionId, await conclusion.deny(scope, one), denies);
    });
  }

  function giveOne(giving: Giving, claim: Claim<ApprovalOutcome> | undefined): Promise<PendingView> {
    const { stored, subject, approvalsRequired } = giving;
    const { id: promotionId, agent_id: agentId, request_decision_id: decisionId, expires_at: expiresAt } = stored.row;
    if (expiresAt === null || decisionId === null) throw new RangeError('a promotion that never waited for approvals');
    return audit.commit<PendingView>({
      chain: subject.workspaceId,
      claim,
      work: async (scope) => {
        await requireUnchanged(admission, scope, subject);
        await give(scope, giving);
        const counted = { approvals: stored.approvals.length + 1, approvalsRequired };
        return { promotionId, decisionId, agentId, state: 'pending', ...counted, expiresAt: expiresAt.toISOString() };
      },
    });
  }

  /** The policy decides, about the approver and with the approval, and both are in the proof. */
  async function giveLast(giving: Giving, claim: Claim<ApprovalOutcome> | undefined): Promise<ApprovalOutcome> {
    const { stored, subject, approval, caller } = giving;
    const { id: promotionId, justification } = stored.row;
    const said = justification === null ? {} : { justification };
    const judgement = await admission.judge(subject, 'promote', caller, { ...said, approval });
    const one = { promotionId, subject, judgement, caller };
    const denies = [...judgement.denies];
    if (denies.length > 0) {
      return conclusion.commit<ApprovalOutcome & { readonly decisionId: string }>(one, claim, async (scope) => {
        await give(scope, giving);
        const decisionId = await conclusion.deny(scope, one);
        return { success: false, state: 'denied', promotionId, decisionId, denies };
      });
    }
    const approvals = [...stored.approvals.map(asProofApproval), approval];
    const proof = await issueNewProof(issuer, subject, { id: promotionId, promoter: caller, approvals });
    return conclusion.commit<ApprovalOutcome & { readonly decisionId: string }>(one, claim, async (scope) => {
      await give(scope, giving);
      const { decisionId, status } = await conclusion.approve(scope, one, proof);
      const governedAgent = await parts.viewAgent(scope.trx, subject.workspaceId, subject.agentId, status);
      const proved = { governedAgent, proof: wire(proof.envelope) };
      return { success: true, state: 'approved', promotionId, decisionId, ...proved };
    });
  }

  async function give(scope: UnitScope, giving: Giving): Promise<void> {
    await hold(scope, giving);
    const { stored, subject, approval, comment, caller, approvalsRequired } = giving;
    const { id: promotionId, agent_id: agentId, spec_hash: specHash, policy_hash: policyHash } = stored.row;
    const position = stored.approvals.length + 1;
    scope.append({
      type: 'promotion.approval.given',
      actor: caller,
      payload: {
        agentId,
        promotionId,
        specHash,
        policyHash,
        approvals: position,
        approvalsRequired,
        ...(comment === undefined ? {} : { reason: comment }),
      },
      traceId: caller.traceId,
    });
    const approvedAt = new Date(approval.approvedAt);
    const given = { promotionId, position, approver: caller, policyHash, comment, approvedAt, approvalsRequired };
    await insertApproval(scope.trx, subject.workspaceId, given);
  }

  async function rejectOnce(
    workspaceId: string,
    promotionId: string,
    reason: string,
    caller: Caller,
    claim: Claim<RejectedView> | undefined,
  ): Promise<RejectedView> {
    const open = await requireOpen(workspaceId, promotionId, caller);
    const agentId = open.stored.row.agent_id;
    return audit.commit<RejectedView>({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        await requireUnchanged(admission, scope, open.subject);
        await hold(scope, open);
        const auditEvent = scope.append({
          type: 'promotion.rejected',
          actor: caller,
          payload: { agentId, promotionId, reason },
          traceId: caller.traceId,
        });
        const { id, kind } = caller;
        await storeRejection(scope.trx, workspaceId, promotionId, { id, kind, reason }, new Date(scope.now));
        return { success: true, promotionId, agentId, state: 'rejected', auditEvent };
      },
    });
  }

  return {
    approve: async (...asked) => {
      const [workspaceId, promotionId, comment, caller, claim] = asked;
      const outcome = await retryStale(() => approveOnce(workspaceId, promotionId, comment, caller, claim));
      if (outcome instanceof PromotionRefused) throw outcome;
      return outcome;
    },
    reject: (workspaceId, promotionId, reason, caller, claim) =>
      retryStale(() => rejectOnce(workspaceId, promotionId, reason, caller, claim)),
  };
}

/** As the proof has it, and the policy is told of it. */
function asProofApproval(row: StoredPromotion['approvals'][number]): ProofApproval {
  const { approver_id: id, roles, policy_hash: policyHash, approved_at: approvedAt } = row;
  return { id, roles, policyHash: asDigest(policyHash), approvedAt: approvedAt.toISOString() };
}
