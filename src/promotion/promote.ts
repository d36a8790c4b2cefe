import type { AdmissionService } from '../admission/service.ts';
import type { Caller } from '../agents/caller.ts';
import type { AgentStatus } from '../agents/lifecycle.ts';
import type { AgentView } from '../agents/schema.ts';
import type { Claim } from '../audit/append.ts';
import { retryStale } from '../audit/retry.ts';
import { NotFound } from '../http/problem.ts';
import { newId } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { type ConclusionParts, createConclusion, type PromotionCase } from './conclude.ts';
import { PromotionConflict, PromotionRefused } from './errors.ts';
import { issueNewProof, type ProofIssuer } from './issue.ts';
import { findPending } from './pending-store.ts';
import { type Asked, createRequest } from './request.ts';
import type { PendingView, PromotionResultView } from './schema.ts';
import { awaitsReapproval, obstaclesOf, type PromotionSettings } from './standing.ts';
import { wire } from './wire.ts';

/**
 * Turns a sandbox agent into a governed one if the policy lets it: proof, promotion, agent, ledger row and events are
 * one transaction, made on what the policy saw. Where the workspace asks for approvals it becomes pending instead. A
 * policy's denial is an answer; an agent that cannot be promoted at all is PromotionRefused, a governed one
 * PromotionConflict, one with a pending promotion ApprovalConflict, an unknown one NotFound.
 */
export type Promote<V = AgentView> = (
  workspaceId: string,
  agentId: string,
  request: { readonly justification?: string },
  caller: Caller,
  claim?: Claim<PromotionOutcome<V>>,
) => Promise<PromotionAnswer<V>>;

/** The answer of the API, with what of the agent the caller of `Promote` wants to see. */
export type DecidedAnswer<V> =
  | (Omit<Extract<PromotionResultView, { success: true }>, 'governedAgent'> & { governedAgent: V })
  | Extract<PromotionResultView, { success: false }>;

export type PromotionAnswer<V> = DecidedAnswer<V> | PendingView;

/** What a promotion comes to: an answer, or a refusal that is thrown once it is committed. */
export type PromotionOutcome<V = AgentView> = PromotionAnswer<V> | PromotionRefused;

export interface PromoteParts<V = AgentView> extends ConclusionParts {
  readonly storage: Storage;
  readonly admission: Pick<AdmissionService, 'load' | 'beforePromotion' | 'proofHolds' | 'judge' | 'reread'>;
  readonly settings: PromotionSettings;
  readonly issuer: ProofIssuer;
  /** What is shown of the agent, which has that status now. */
  readonly viewAgent: (trx: Trx, workspaceId: string, agentId: string, status: AgentStatus) => Promise<V>;
  readonly observe: { attempted(): void; denied(code: string): void };
}

interface Judged extends PromotionCase {
  /** It was no policy that denied. */
  readonly obstructed: boolean;
}

export function createPromote<V = AgentView>(parts: PromoteParts<V>): Promote<V> {
  const { storage, admission, issuer, observe } = parts;
  const { commit, approve, deny } = createConclusion(parts);
  const request = createRequest(parts);

  return async (workspaceId, agentId, { justification }, caller, claim) => {
    observe.attempted();
    const outcome = await retryStale(() => attempt(workspaceId, agentId, justification, caller, claim));
    if (outcome instanceof PromotionRefused) throw outcome;
    return outcome;
  };

  async function attempt(
    workspaceId: string,
    agentId: string,
    justification: string | undefined,
    caller: Caller,
    claim: Claim<PromotionOutcome<V>> | undefined,
  ): Promise<PromotionOutcome<V>> {
    const subject = await admission.load(workspaceId, agentId, caller);
    if (subject === undefined) throw new NotFound();
    // After the subject: what is set meanwhile is seen under the lock, for its fingerprint names the workspace's row.
    const { settings, pending } = await storage.read(workspaceId, async (trx) => ({
      settings: await parts.settings(trx, workspaceId),
      pending: await findPending(trx, workspaceId, agentId),
    }));
    if (subject.mode === 'governed' && !awaitsReapproval(subject, settings)) {
      throw new PromotionConflict('ALREADY_GOVERNED', 'the agent is governed already');
    }
    const { approvalsRequired } = settings;
    const asked = { subject, justification, caller, lapsed: request.lapsedOf(subject, pending) };
    const one = await judged(asked, approvalsRequired > 0);
    if (one.judgement.denies.length > 0) return denied(asked, one, claim);
    if (approvalsRequired > 0) return request.open({ ...asked, ...one, approvalsRequired }, claim);
    const { promotionId } = one;
    const proof = await issueNewProof(issuer, subject, { id: promotionId, promoter: caller, approvals: [] });
    return commit<PromotionOutcome<V>>(one, claim, async (scope) => {
      await request.endLapsed(scope, asked);
      const { decisionId, status } = await approve(scope, one, proof);
      const governedAgent = await parts.viewAgent(scope.trx, workspaceId, agentId, status);
      return { success: true, promotionId, decisionId, governedAgent, proof: wire(proof.envelope) };
    });
  }

  /** What stands in the way of the agent, or what the policy says; `asksOnly`: approvers will decide. */
  async function judged({ subject, justification, caller }: Asked, asksOnly: boolean): Promise<Judged> {
    const base = { promotionId: newId(), subject, caller, request: { justification } };
    const obstacles = await obstaclesOf(admission, subject);
    if (obstacles.length > 0) return { ...base, judgement: { denies: obstacles }, obstructed: true };
    const said = justification === undefined ? {} : { justification };
    const judgement = asksOnly
      ? await request.judge(subject, caller, said)
      : await admission.judge(subject, 'promote', caller, said);
    return { ...base, judgement, obstructed: false };
  }

  async function denied(
    asked: Asked,
    one: Judged,
    claim: Claim<PromotionOutcome<V>> | undefined,
  ): Promise<PromotionOutcome<V>> {
    const { promotionId, judgement, obstructed } = one;
    const denies = [...judgement.denies];
    return commit<PromotionOutcome<V>>(one, claim, async (scope) => {
      await request.endLapsed(scope, asked);
      const decisionId = await deny(scope, one);
      if (obstructed) return new PromotionRefused(promotionId, decisionId, denies);
      return { success: false, promotionId, decisionId, denies };
    });
  }
}
