import type { Denial } from '../admission/check.ts';
import type { AdmissionService, PolicyJudgement } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { requireTimeLeft, requireUnchanged } from '../admission/unchanged.ts';
import type { Caller } from '../agents/caller.ts';
import type { AgentStatus } from '../agents/lifecycle.ts';
import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import { recordDecision } from '../decisions/ledger.ts';
import { newId } from '../ids.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { Trx } from '../storage/database.ts';
import type { NewProof } from './issue.ts';
import type { DecisionLog } from './log.ts';
import { settlePending } from './pending-store.ts';
import { insertPromotion, insertProof, isManaged, makeGoverned } from './store.ts';

export interface ConclusionParts {
  readonly audit: AuditAppender;
  readonly admission: Pick<AdmissionService, 'reread'>;
  readonly runtimes: RuntimeRegistry;
  /** Throws SignerError unless the proof signer is in force, under the lock. */
  readonly requireProofSigner: (trx: Trx, now: number) => Promise<void>;
  readonly observe: { denied(code: string): void };
  readonly log: DecisionLog;
}

/** A promotion with what the policy said of it. */
export interface PromotionCase {
  readonly promotionId: string;
  readonly subject: AdmissionSubject;
  readonly judgement: PolicyJudgement;
  /** Whom the policy was asked about, and who is the actor of what is written. */
  readonly caller: Caller;
  /** With it the promotion is stored anew; without it there is a pending one. */
  readonly request?: { readonly justification: string | undefined };
}

/** How an evaluation becomes what is stored, whether it was the only one or the last of a pending promotion. */
export function createConclusion(parts: ConclusionParts) {
  const { audit, admission, runtimes, observe, log } = parts;

  /** Runs `work` in a unit in which the rows are still those that the policy saw; logs the decision it answers. */
  async function commit<T extends { readonly decisionId: string }>(
    one: PromotionCase,
    claim: Claim<T> | undefined,
    work: (scope: UnitScope) => Promise<T>,
  ): Promise<T> {
    const { subject, judgement, caller } = one;
    const { workspaceId, agentId } = subject;
    const outcome = await audit.commit({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        await requireUnchanged(admission, scope, subject);
        return work(scope);
      },
    });
    const [first] = judgement.denies;
    if (first !== undefined) observe.denied(first.code);
    const codes = judgement.denies.map((denial) => denial.code);
    const { decisionId } = outcome;
    const fields = { decisionId, action: 'agent.promotion', workspaceId, agentId, actorId: caller.id };
    log.info({ ...fields, code: codes[0] ?? 'ALLOWED', codes, traceId: caller.traceId }, 'decision');
    return outcome;
  }

  async function approve(
    scope: UnitScope,
    one: PromotionCase,
    proof: NewProof,
  ): Promise<{ readonly decisionId: string; readonly status: AgentStatus }> {
    const { subject, promotionId, caller } = one;
    const { workspaceId, agentId, specVersion, specHash, policy } = subject;
    const now = new Date(scope.now);
    // It may have expired while it waited for the chain.
    requireTimeLeft(scope, subject);
    await parts.requireProofSigner(scope.trx, scope.now);
    const decisionId = newId();
    const event = { actor: caller, traceId: caller.traceId };
    const { seq } = scope.append({
      ...event,
      type: 'promotion.approved',
      payload: { agentId, promotionId, decisionId, specVersion, specHash, policyHash: policy.hash },
    });
    scope.append({
      ...event,
      type: 'proof.issued',
      payload: {
        agentId,
        proofId: proof.id,
        promotionId,
        proofDigest: proof.digest,
        signerId: proof.signerId,
        expiresAt: proof.expiresAt.toISOString(),
      },
    });
    const stopped = await endRun(scope, subject);
    // What ran was admitted as a sandbox agent; under the new mode it has to be admitted again.
    if (stopped !== undefined)
      scope.append({ ...event, type: 'agent.stopped', payload: { agentId, reason: 'promoted' } });
    await insertProof(scope.trx, workspaceId, proof);
    const status = await makeGoverned(scope.trx, workspaceId, agentId, { proofId: proof.id, stopped }, now);
    await record(scope, one, { decisionId, seq, denies: [], proofId: proof.id });
    return { decisionId, status };
  }

  async function endRun({ trx }: UnitScope, { workspaceId, agentId, mode, status }: AdmissionSubject) {
    if (mode === 'governed' || (status !== 'starting' && status !== 'running')) return undefined;
    const driver = runtimes.driverOf(await isManaged(trx, workspaceId, agentId));
    return driver.onStop({ workspaceId, agentId, replicas: 0 });
  }

  async function deny(scope: UnitScope, one: PromotionCase): Promise<string> {
    const { subject, promotionId, caller, judgement } = one;
    const { agentId, specHash, policy } = subject;
    const { denies } = judgement;
    const decisionId = newId();
    const flat = denies.map(({ code, reason, severity, check }) => ({ code, reason, severity, check }));
    const { seq } = scope.append({
      type: 'promotion.denied',
      actor: caller,
      payload: { agentId, promotionId, decisionId, specHash, policyHash: policy.hash, denies: flat },
      traceId: caller.traceId,
    });
    await record(scope, one, { decisionId, seq, denies, proofId: undefined });
    return decisionId;
  }

  return { commit, approve, deny };
}

/** The promotion's own row and its row in the ledger. */
async function record(
  scope: UnitScope,
  { subject, promotionId, caller, judgement, request }: PromotionCase,
  decision: { decisionId: string; seq: number; denies: readonly Denial[]; proofId: string | undefined },
): Promise<void> {
  const { workspaceId, agentId, specVersion, specHash, policy } = subject;
  const { decisionId, denies, proofId } = decision;
  const now = new Date(scope.now);
  const facts = { agentId, denies, specHash, policyHash: policy.hash };
  if (request === undefined) {
    await settlePending(scope.trx, workspaceId, { id: promotionId, decisionId, denies, proofId }, now);
  } else {
    const { justification } = request;
    const promotion = {
      ...facts,
      id: promotionId,
      requestedBy: caller,
      justification,
      decisionId,
      proofId,
      specVersion,
    };
    await insertPromotion(scope.trx, workspaceId, promotion, now);
  }
  await recordDecision(scope.trx, {
    ...facts,
    workspaceId,
    id: decisionId,
    kind: 'promotion',
    actor: caller,
    shadow: judgement.shadow,
    traceId: caller.traceId,
    auditSeq: decision.seq,
    createdAt: now,
  });
}
