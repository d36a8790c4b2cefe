import type { Denial } from '../admission/check.ts';
import type { AdmissionService, PolicyJudgement } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { Caller } from '../agents/caller.ts';
import type { AgentStatus } from '../agents/lifecycle.ts';
import type { AgentView } from '../agents/schema.ts';
import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import { retryStale } from '../audit/retry.ts';
import type { DsseEnvelope } from '../crypto/dsse.ts';
import { recordDecision } from '../decisions/ledger.ts';
import { NotFound } from '../http/problem.ts';
import { newId } from '../ids.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { Trx } from '../storage/database.ts';
import { PromotionConflict, PromotionRefused } from './errors.ts';
import { issueFirstProof, type NewProof, type ProofIssuer } from './issue.ts';
import type { DecisionLog } from './log.ts';
import type { PromotionResultView } from './schema.ts';
import { insertPromotion, insertProof, isManaged, makeGoverned } from './store.ts';
import { requireTimeLeft, requireUnchanged } from './unchanged.ts';

/**
 * Turns a sandbox agent into a governed one if the policy lets it: proof, promotion, agent, ledger row and events are
 * one transaction, made on what the policy saw. A policy's denial is an answer; an agent that cannot be promoted at all
 * is PromotionRefused, a governed one PromotionConflict, an unknown one NotFound.
 */
export type Promote<V = AgentView> = (
  workspaceId: string,
  agentId: string,
  request: { readonly justification?: string },
  caller: Caller,
  claim?: Claim<PromotionOutcome<V>>,
) => Promise<PromotionAnswer<V>>;

/** The answer of the API, with what of the agent the caller of `Promote` wants to see. */
type PromotionAnswer<V> =
  | (Omit<Extract<PromotionResultView, { success: true }>, 'governedAgent'> & { governedAgent: V })
  | Extract<PromotionResultView, { success: false }>;

/** What a promotion comes to: an answer, or a refusal that is thrown once it is committed. */
export type PromotionOutcome<V = AgentView> = PromotionAnswer<V> | PromotionRefused;

export interface PromoteParts<V = AgentView> {
  readonly audit: AuditAppender;
  readonly admission: Pick<AdmissionService, 'load' | 'beforePromotion' | 'judge' | 'reread'>;
  readonly runtimes: RuntimeRegistry;
  readonly issuer: ProofIssuer;
  /** Throws SignerError unless the proof signer is in force, under the lock. */
  readonly requireProofSigner: (trx: Trx, now: number) => Promise<void>;
  /** What is shown of the agent, which has that status now. */
  readonly viewAgent: (trx: Trx, workspaceId: string, agentId: string, status: AgentStatus) => Promise<V>;
  readonly observe: { attempted(): void; denied(code: string): void };
  readonly log: DecisionLog;
}

interface Case {
  readonly promotionId: string;
  readonly subject: AdmissionSubject;
  readonly judgement: PolicyJudgement;
  readonly justification: string | undefined;
  readonly caller: Caller;
}

export function createPromote<V = AgentView>(parts: PromoteParts<V>): Promote<V> {
  const { audit, admission, runtimes, issuer, observe, log } = parts;

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
    if (subject.mode === 'governed') throw new PromotionConflict('ALREADY_GOVERNED', 'the agent is governed already');
    const promotionId = newId();
    const obstacles = await admission.beforePromotion(subject);
    const judgement = obstacles.length > 0 ? { denies: obstacles } : await admission.judge(subject, 'promote', caller);
    const one: Case = { promotionId, subject, judgement, justification, caller };
    const { denies } = judgement;
    if (denies.length > 0) {
      return commit(one, claim, async (scope) => {
        const decisionId = await deny(scope, one);
        if (obstacles.length > 0) return new PromotionRefused(promotionId, decisionId, obstacles);
        return { success: false, promotionId, decisionId, denies: [...denies] };
      });
    }
    const proof = await issueFirstProof(issuer, subject, { id: promotionId, promoter: caller });
    return commit(one, claim, async (scope) => {
      const { decisionId, status } = await approve(scope, one, proof);
      const governedAgent = await parts.viewAgent(scope.trx, workspaceId, agentId, status);
      return { success: true, promotionId, decisionId, governedAgent, proof: wire(proof.envelope) };
    });
  }

  async function commit(
    one: Case,
    claim: Claim<PromotionOutcome<V>> | undefined,
    work: (scope: UnitScope) => Promise<PromotionOutcome<V>>,
  ): Promise<PromotionOutcome<V>> {
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
    log.info(
      {
        decisionId: outcome.decisionId,
        action: 'agent.promotion',
        workspaceId,
        agentId,
        actorId: caller.id,
        code: first?.code ?? 'ALLOWED',
        codes,
        traceId: caller.traceId,
      },
      'decision',
    );
    return outcome;
  }

  async function approve(
    scope: UnitScope,
    one: Case,
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

  async function endRun({ trx }: UnitScope, { workspaceId, agentId, status }: AdmissionSubject) {
    if (status !== 'starting' && status !== 'running') return undefined;
    const driver = runtimes.driverOf(await isManaged(trx, workspaceId, agentId));
    return driver.onStop({ workspaceId, agentId, replicas: 0 });
  }
}

async function deny(scope: UnitScope, one: Case): Promise<string> {
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

/** The promotion's own row and its row in the ledger. */
async function record(
  scope: UnitScope,
  { subject, promotionId, caller, judgement, justification }: Case,
  decision: { decisionId: string; seq: number; denies: readonly Denial[]; proofId: string | undefined },
): Promise<void> {
  const { workspaceId, agentId, specVersion, specHash, policy } = subject;
  const { decisionId, denies, proofId } = decision;
  const now = new Date(scope.now);
  const facts = { agentId, denies, specHash, policyHash: policy.hash };
  const promotion = { ...facts, id: promotionId, requestedBy: caller, justification, decisionId, proofId, specVersion };
  await insertPromotion(scope.trx, workspaceId, promotion, now);
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

function wire({ payloadType, payload, signatures }: DsseEnvelope) {
  return { payloadType, payload, signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig })) };
}
