import type { Denial } from '../admission/check.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { requireUnchanged } from '../admission/unchanged.ts';
import type { Caller } from '../agents/caller.ts';
import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import type { EventReceipt } from '../audit/event.ts';
import { retryStale } from '../audit/retry.ts';
import { recordDecision } from '../decisions/ledger.ts';
import { NotFound } from '../http/problem.ts';
import { newId } from '../ids.ts';
import type { PolicyHead } from '../policy/head.ts';
import { needsReapproval } from '../proofs/reapproval.ts';
import type { ProofStatement } from '../proofs/statement.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { PromotionConflict, ReleaseDenied } from './errors.ts';
import type { NewProof } from './issue.ts';
import type { DecisionLog } from './log.ts';
import type { Recheck } from './recheck.ts';
import type { ReleaseView } from './schema.ts';
import type { PromotionSettings } from './standing.ts';
import { insertProof, liftQuarantine } from './store.ts';

/**
 * The one way out of quarantine: the checks of a revalidation again, and a proof of the active policy where the old one
 * is of another. Throws ReleaseDenied (event and ledger row committed), PromotionConflict, NotFound.
 */
export type Release = (
  workspaceId: string,
  agentId: string,
  reason: string,
  caller: Caller,
  claim?: Claim<ReleaseOutcome>,
) => Promise<ReleaseView>;

/** What a release comes to: an answer, or a denial that is thrown once it is committed. */
type ReleaseOutcome = ReleaseView | ReleaseDenied;

/** Makes proofs that take the place of earlier ones; the revalidation's own. */
export interface ProofRenewal {
  /** Whether a proof that holds is to be replaced. */
  needed(statement: ProofStatement, head: PolicyHead, now: number): boolean;
  /** Rejects with SignerError. */
  renew(
    subject: AdmissionSubject,
    statement: ProofStatement,
    head: PolicyHead,
    signal?: AbortSignal,
  ): Promise<NewProof & { readonly previousProofId: string }>;
}

export interface ReleaseParts {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly admission: Pick<AdmissionService, 'load' | 'proofHolds' | 'reread'>;
  readonly policy: {
    head(trx: Trx, workspaceId: string): Promise<PolicyHead>;
    bumpRevision(trx: Trx, workspaceId: string): Promise<void>;
  };
  readonly settings: PromotionSettings;
  readonly recheck: Recheck;
  readonly renewal: ProofRenewal;
  readonly requireProofSigner: (trx: Trx, now: number) => Promise<void>;
  readonly log: DecisionLog;
}

interface Case {
  readonly subject: AdmissionSubject;
  readonly reason: string;
  readonly caller: Caller;
}

type Renewed = NewProof & { readonly previousProofId: string };
type Judged = { readonly denies: readonly Denial[] } | { readonly renewed: Renewed | undefined };

interface Decision {
  readonly id: string;
  readonly receipt: EventReceipt;
}

export function createRelease(parts: ReleaseParts): Release {
  const { storage, audit, admission, policy, renewal, log } = parts;

  return async (workspaceId, agentId, reason, caller, claim) => {
    const outcome = await retryStale(() => attempt(workspaceId, agentId, reason, caller, claim));
    if (outcome instanceof ReleaseDenied) throw outcome;
    return outcome;
  };

  async function attempt(
    workspaceId: string,
    agentId: string,
    reason: string,
    caller: Caller,
    claim: Claim<ReleaseOutcome> | undefined,
  ): Promise<ReleaseOutcome> {
    const subject = await admission.load(workspaceId, agentId, caller);
    if (subject === undefined) throw new NotFound();
    if (subject.status !== 'quarantined' && subject.quarantine === null && subject.invalidation === null) {
      throw new PromotionConflict('NOT_QUARANTINED', 'the agent is not quarantined');
    }
    const one: Case = { subject, reason, caller };
    const judged = await judge(subject);
    if ('denies' in judged) {
      return commit(one, judged.denies, claim, async (scope) => {
        const { id } = await deny(scope, one, judged.denies);
        return new ReleaseDenied(id, judged.denies);
      });
    }
    const { renewed } = judged;
    return commit(one, [], claim, async (scope) => {
      const { id, receipt } = await lift(scope, one, renewed);
      return {
        success: true,
        agentId,
        status: 'stopped',
        decisionId: id,
        proofId: renewed?.id ?? subject.proof?.id ?? null,
        auditEvent: receipt,
      };
    });
  }

  async function judge(subject: AdmissionSubject): Promise<Judged> {
    // A sandbox agent has no proof to look at again, and what it may do is asked at its next start.
    if (subject.mode === 'sandbox') {
      const denies = await admission.proofHolds(subject);
      return denies.length > 0 ? { denies } : { renewed: undefined };
    }
    const outcome = await parts.recheck(subject);
    if (outcome.outcome === 'invalid') return { denies: outcome.denies };
    const { head, settings } = await storage.read(subject.workspaceId, async (trx) => ({
      head: await policy.head(trx, subject.workspaceId),
      settings: await parts.settings(trx, subject.workspaceId),
    }));
    // A head that moved since is seen under the lock.
    if (!renewal.needed(outcome.statement, head, subject.now)) return { renewed: undefined };
    // It leaves quarantine and stays restricted: a promotion, which a quarantined one may not ask for, brings it back.
    if (settings.reapproveOnPolicyChange && needsReapproval(outcome.statement, head.hash))
      return { renewed: undefined };
    return { renewed: await renewal.renew(subject, outcome.statement, head) };
  }

  async function commit(
    { subject, caller }: Case,
    denies: readonly Denial[],
    claim: Claim<ReleaseOutcome> | undefined,
    work: (scope: UnitScope) => Promise<ReleaseOutcome>,
  ): Promise<ReleaseOutcome> {
    const { workspaceId, agentId } = subject;
    const outcome = await audit.commit({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        await requireUnchanged(admission, scope, subject);
        return work(scope);
      },
    });
    const codes = denies.map((deny) => deny.code);
    const { decisionId } = outcome;
    const fields = { decisionId, action: 'agent.release', workspaceId, agentId, actorId: caller.id };
    log.info({ ...fields, code: codes[0] ?? 'ALLOWED', codes, traceId: caller.traceId }, 'decision');
    return outcome;
  }

  async function lift(scope: UnitScope, one: Case, renewed: Renewed | undefined): Promise<Decision> {
    const { subject, reason, caller } = one;
    const { workspaceId, agentId, policy: head } = subject;
    const now = new Date(scope.now);
    const id = newId();
    const event = { actor: caller, traceId: caller.traceId };
    const proofId = renewed === undefined ? {} : { proofId: renewed.id };
    const receipt = scope.append({
      ...event,
      type: 'agent.released',
      payload: { agentId, reason, decisionId: id, policyHash: head.hash, ...proofId },
    });
    if (renewed !== undefined) {
      await parts.requireProofSigner(scope.trx, scope.now);
      await insertProof(scope.trx, workspaceId, renewed);
      scope.append({
        ...event,
        type: 'proof.renewed',
        payload: {
          agentId,
          proofId: renewed.id,
          previousProofId: renewed.previousProofId,
          proofDigest: renewed.digest,
          policyHash: renewed.policyHash,
          signerId: renewed.signerId,
          expiresAt: renewed.expiresAt.toISOString(),
        },
      });
    }
    await liftQuarantine(scope.trx, workspaceId, agentId, renewed?.id, now);
    // The policy snapshot lists the invalidated agents.
    if (subject.invalidation !== null) await policy.bumpRevision(scope.trx, workspaceId);
    return record(scope, one, { id, receipt }, []);
  }
}

async function deny(scope: UnitScope, one: Case, denies: readonly Denial[]): Promise<Decision> {
  const { subject, reason, caller } = one;
  const id = newId();
  const flat = denies.map(({ code, reason, severity, check }) => ({ code, reason, severity, check }));
  const receipt = scope.append({
    type: 'agent.release.denied',
    actor: caller,
    payload: { agentId: subject.agentId, reason, decisionId: id, policyHash: subject.policy.hash, denies: flat },
    traceId: caller.traceId,
  });
  return record(scope, one, { id, receipt }, denies);
}

async function record(
  scope: UnitScope,
  { subject, caller }: Case,
  decision: Decision,
  denies: readonly Denial[],
): Promise<Decision> {
  await recordDecision(scope.trx, {
    workspaceId: subject.workspaceId,
    id: decision.id,
    kind: 'release',
    agentId: subject.agentId,
    denies,
    actor: caller,
    policyHash: subject.policy.hash,
    specHash: subject.specHash,
    traceId: caller.traceId,
    auditSeq: decision.receipt.seq,
    createdAt: new Date(scope.now),
  });
  return decision;
}
