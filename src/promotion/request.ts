import type { Denial } from '../admission/check.ts';
import type { AdmissionService, PolicyJudgement } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { requireTimeLeft, requireUnchanged } from '../admission/unchanged.ts';
import type { Caller } from '../agents/caller.ts';
import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import { recordDecision } from '../decisions/ledger.ts';
import { newId } from '../ids.ts';
import { ApprovalConflict } from './errors.ts';
import { lapse, requireSame } from './lapse.ts';
import type { DecisionLog } from './log.ts';
import { lapseOf, PENDING_MS } from './pending.ts';
import { findPending, insertPending, pendingOf, type StoredPromotion } from './pending-store.ts';
import type { PendingView } from './schema.ts';
import type { LapseCause } from './table.ts';

export interface RequestParts {
  readonly audit: AuditAppender;
  readonly admission: Pick<AdmissionService, 'judge' | 'reread'>;
  readonly log: DecisionLog;
}

interface Lapsed {
  readonly pending: StoredPromotion;
  readonly cause: LapseCause;
}

/** A request for a promotion. */
export interface Asked {
  readonly subject: AdmissionSubject;
  readonly justification: string | undefined;
  readonly caller: Caller;
  /** An earlier one that ends with it. */
  readonly lapsed: Lapsed | undefined;
}

/** What a promotion that waits for approvals begins with. */
export interface RequestCase extends Asked {
  readonly promotionId: string;
  readonly judgement: PolicyJudgement;
  readonly approvalsRequired: number;
}

export function createRequest({ audit, admission, log }: RequestParts) {
  /**
   * The promotion of the agent that still counts as pending and has lapsed, to be ended with whatever comes of the new
   * request. Throws ApprovalConflict while one waits for approvals.
   */
  function lapsedOf(subject: AdmissionSubject, pending: StoredPromotion | undefined): Lapsed | undefined {
    if (pending === undefined) return undefined;
    const { specHash, policy, now } = subject;
    // Whether it needs a promotion was found out by the caller.
    const present = { specHash, policyHash: policy.hash, governed: false };
    const cause = lapseOf(pendingOf(pending), now, present);
    if (cause !== undefined) return { pending, cause };
    const members = { promotionId: pending.row.id };
    throw new ApprovalConflict('PROMOTION_PENDING', 'a promotion of the agent waits for approvals', members);
  }

  /** Under the lock: ends the one that has lapsed, and none is pending then. Throws StaleRead when that has changed. */
  async function endLapsed(scope: UnitScope, { subject, lapsed, caller }: Asked): Promise<void> {
    if (lapsed !== undefined) {
      await requireSame(scope, lapsed.pending);
      await lapse(scope, lapsed.pending, lapsed.cause, caller);
    }
    const { workspaceId, agentId } = subject;
    if ((await findPending(scope.trx, workspaceId, agentId)) !== undefined)
      throw new StaleRead('the pending promotion');
  }

  /**
   * What the policy says before anybody has approved. Who asks does not decide, so that their being no admin counts for
   * nothing: everything else does (policies/README.md, `stage`).
   */
  async function judge(
    subject: AdmissionSubject,
    caller: Caller,
    said: Readonly<Record<string, unknown>>,
  ): Promise<PolicyJudgement> {
    const { denies, shadow } = await admission.judge(subject, 'promote', caller, { ...said, stage: 'request' });
    const rest = denies.filter(notOfRole);
    if (shadow === undefined) return { denies: rest };
    const shadowed = shadow.denies.filter(notOfRole);
    const effect = shadowed.length === 0 ? 'ALLOW' : 'DENY';
    return { denies: rest, shadow: { ...shadow, effect, denies: shadowed } };
  }

  /** Stores the promotion as pending, with its row in the ledger and its event. */
  async function open<T>(one: RequestCase, claim: Claim<T | PendingView> | undefined): Promise<PendingView> {
    const { promotionId, subject, judgement, justification, caller, approvalsRequired } = one;
    const { workspaceId, agentId, specVersion, specHash, policy } = subject;
    const decisionId = newId();
    const facts = { agentId, specHash, policyHash: policy.hash };
    const view = await audit.commit<PendingView>({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        await requireUnchanged(admission, scope, subject);
        await endLapsed(scope, one);
        requireTimeLeft(scope, subject);
        const now = new Date(scope.now);
        const expiresAt = new Date(scope.now + PENDING_MS);
        const { seq } = scope.append({
          type: 'promotion.requested',
          actor: caller,
          payload: { ...facts, promotionId, decisionId, specVersion, approvalsRequired },
          traceId: caller.traceId,
        });
        const requested = { ...facts, id: promotionId, requestedBy: caller, justification, decisionId, specVersion };
        await insertPending(scope.trx, workspaceId, { ...requested, approvalsRequired, expiresAt }, now);
        await recordDecision(scope.trx, {
          ...facts,
          workspaceId,
          id: decisionId,
          kind: 'promotion',
          denies: [],
          needsApproval: true,
          actor: caller,
          shadow: judgement.shadow,
          traceId: caller.traceId,
          auditSeq: seq,
          createdAt: now,
        });
        const counted = { approvals: 0, approvalsRequired, expiresAt: expiresAt.toISOString() };
        return { promotionId, decisionId, agentId, state: 'pending', ...counted };
      },
    });
    const fields = { decisionId, action: 'agent.promotion', workspaceId, agentId, actorId: caller.id };
    log.info({ ...fields, code: 'APPROVAL_REQUIRED', codes: [], traceId: caller.traceId }, 'decision');
    return view;
  }

  return { lapsedOf, endLapsed, judge, open };
}

function notOfRole({ code, check }: Denial): boolean {
  return code !== 'PERMISSION_DENIED' || check !== 'castellan.promotion';
}
