import type { Denial } from '../admission/check.ts';
import type { AdmissionService, PolicyJudgement } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { Caller } from '../agents/caller.ts';
import type { AuditAppender, Claim } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import { recordDecision } from '../decisions/ledger.ts';
import { newId } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { ApprovalConflict } from './errors.ts';
import { lapse, requireSame } from './lapse.ts';
import type { DecisionLog } from './log.ts';
import { lapseOf, PENDING_MS } from './pending.ts';
import { findPending, insertPending, pendingOf } from './pending-store.ts';
import type { PendingView } from './schema.ts';
import { requireTimeLeft, requireUnchanged } from './unchanged.ts';

export type { PendingView } from './schema.ts';

export interface RequestParts {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly admission: Pick<AdmissionService, 'judge' | 'reread'>;
  readonly log: DecisionLog;
}

/** What a promotion that waits for approvals begins with. */
export interface RequestCase {
  readonly promotionId: string;
  readonly subject: AdmissionSubject;
  readonly judgement: PolicyJudgement;
  readonly justification: string | undefined;
  readonly caller: Caller;
  readonly approvalsRequired: number;
}

export function createRequest({ storage, audit, admission, log }: RequestParts) {
  /**
   * Throws ApprovalConflict while a promotion of the agent waits for approvals. One whose time is over, or whose spec or
   * policy has changed, is ended by this.
   */
  async function requireNonePending(subject: AdmissionSubject, { traceId }: Caller): Promise<void> {
    const { workspaceId, agentId, specHash, policy, now } = subject;
    const pending = await storage.read(workspaceId, (trx) => findPending(trx, workspaceId, agentId));
    if (pending === undefined) return;
    // Whether it needs a promotion was found out by the caller.
    const present = { specHash, policyHash: policy.hash, governed: false };
    const cause = lapseOf(pendingOf(pending), now, present);
    if (cause === undefined) {
      const members = { promotionId: pending.row.id };
      throw new ApprovalConflict('PROMOTION_PENDING', 'a promotion of the agent waits for approvals', members);
    }
    await audit.commit({
      chain: workspaceId,
      work: async (scope) => {
        await requireSame(scope, pending);
        await requireUnchanged(admission, scope, subject);
        await lapse(scope, pending, cause, traceId);
      },
    });
  }

  /** Under the lock. Throws StaleRead: the next round says what is pending. */
  async function requireStillNone(trx: Trx, { workspaceId, agentId }: AdmissionSubject): Promise<void> {
    if ((await findPending(trx, workspaceId, agentId)) !== undefined) throw new StaleRead('the pending promotion');
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
        await requireStillNone(scope.trx, subject);
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

  return { requireNonePending, requireStillNone, judge, open };
}

function notOfRole({ code, check }: Denial): boolean {
  return code !== 'PERMISSION_DENIED' || check !== 'castellan.promotion';
}
