import type { Denial } from '../admission/check.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { requireTimeLeft, requireUnchanged } from '../admission/unchanged.ts';
import { rulingOf } from '../agents/ruling.ts';
import type { AuditAppender, UnitScope } from '../audit/append.ts';
import { retryStale } from '../audit/retry.ts';
import { recordDecision } from '../decisions/ledger.ts';
import { NotFound } from '../http/problem.ts';
import { newId } from '../ids.ts';
import type { Claim } from './claim.ts';
import { Superseded } from './errors.ts';
import { CASTELLAN, recordLosses } from './losses.ts';
import { insertLaunch, isCurrent, storeFailure } from './store.ts';

/** `superseded`: something else is wanted of the agent by now, and nothing was written. */
export type Permit<P> =
  | { readonly outcome: 'granted'; readonly prepared: P }
  | { readonly outcome: 'denied'; readonly denies: readonly Denial[] }
  | { readonly outcome: 'superseded' };

export interface LaunchQuestion<P> {
  readonly claim: Claim;
  readonly launchId: string;
  /** Which of the replicas, from 0. */
  readonly replica: number;
  /** The process cannot outlive its supervisor: with the claim it is lost. */
  readonly endsWithClaim: boolean;
  /** How often the agent was launched before by this supervisor. */
  readonly launches: number;
  /** What the launch needs, from what admission has seen; whatever it throws is passed on, and nothing is written. */
  prepare(subject: AdmissionSubject): Promise<P>;
}

/**
 * Whether one process of an agent may be launched, restarts too: admission decides, and agent.launched and its ledger row
 * are committed on what it saw, before there is a process. A denial is committed and makes the agent fail.
 */
export type AskPermit = <P>(question: LaunchQuestion<P>) => Promise<Permit<P>>;

export function createPermits(parts: {
  audit: AuditAppender;
  admission: Pick<AdmissionService, 'load' | 'evaluate' | 'reread'>;
}): AskPermit {
  const { audit, admission } = parts;

  return async (question) => {
    try {
      return await retryStale(() => attempt(question));
    } catch (error) {
      if (error instanceof Superseded || error instanceof NotFound) return { outcome: 'superseded' };
      throw error;
    }
  };

  async function attempt<P>(question: LaunchQuestion<P>): Promise<Permit<P>> {
    const { claim, replica } = question;
    const { workspaceId, agentId, startedBy } = claim;
    const subject = await admission.load(workspaceId, agentId, startedBy ?? { ...CASTELLAN, roles: [] });
    if (subject === undefined || !isWanted(subject, replica)) throw new Superseded();
    const { shadow, ...outcome } = await admission.evaluate(subject);
    const ruling = rulingOf(outcome);
    if (!ruling.allowed) {
      await decide(question, subject, (scope) => deny(scope, question, subject, ruling.denies, shadow));
      return { outcome: 'denied', denies: ruling.denies };
    }
    const prepared = await question.prepare(subject);
    await decide(question, subject, async (scope) => {
      // It may have expired while it waited for the chain.
      requireTimeLeft(scope, subject);
      await grant(scope, question, subject, shadow);
    });
    return { outcome: 'granted', prepared };
  }

  async function decide(
    { claim }: Pick<LaunchQuestion<unknown>, 'claim'>,
    subject: AdmissionSubject,
    work: (scope: UnitScope) => Promise<void>,
  ): Promise<void> {
    await audit.commit({
      chain: claim.workspaceId,
      work: async (scope) => {
        await requireUnchanged(admission, scope, subject);
        if (!(await isCurrent(scope.trx, claim))) throw new Superseded();
        // What an earlier supervisor took with it comes first.
        await recordLosses(scope, claim);
        await work(scope);
      },
    });
  }
}

function isWanted({ status, desiredReplicas }: AdmissionSubject, replica: number): boolean {
  return (status === 'starting' || status === 'running') && replica < desiredReplicas;
}

async function grant(
  scope: UnitScope,
  { claim, launchId, replica, endsWithClaim }: LaunchQuestion<unknown>,
  subject: AdmissionSubject,
  shadow: unknown,
): Promise<void> {
  const { agentId, specHash, policy } = subject;
  const decisionId = newId();
  const { seq } = scope.append({
    type: 'agent.launched',
    actor: CASTELLAN,
    payload: { agentId, launchId, decisionId, specHash, policyHash: policy.hash, replica },
  });
  if (endsWithClaim) await insertLaunch(scope.trx, claim, { launchId, replica });
  await record(scope, subject, { id: decisionId, seq, denies: [], shadow });
}

async function deny(
  scope: UnitScope,
  { claim, launches }: LaunchQuestion<unknown>,
  subject: AdmissionSubject,
  denies: readonly Denial[],
  shadow: unknown,
): Promise<void> {
  const { agentId, mode, specHash, policy } = subject;
  const decisionId = newId();
  const flat = denies.map(({ code, reason, severity, check }) => ({ code, reason, severity, check }));
  const { seq } = scope.append({
    type: 'agent.start.denied',
    actor: CASTELLAN,
    payload: { agentId, decisionId, mode, specHash, policyHash: policy.hash, denies: flat },
  });
  scope.append({ type: 'agent.failed', actor: CASTELLAN, payload: { agentId, code: 'ADMISSION_DENIED', launches } });
  await storeFailure(scope.trx, claim, new Date(scope.now));
  await record(scope, subject, { id: decisionId, seq, denies, shadow });
}

function record(
  { trx, now }: UnitScope,
  { workspaceId, agentId, policy, specHash, actor }: AdmissionSubject,
  decision: { id: string; seq: number; denies: readonly Denial[]; shadow: unknown },
): Promise<void> {
  return recordDecision(trx, {
    workspaceId,
    id: decision.id,
    kind: 'launch',
    agentId,
    denies: decision.denies,
    actor,
    policyHash: policy.hash,
    specHash,
    shadow: decision.shadow,
    auditSeq: decision.seq,
    createdAt: new Date(now),
  });
}
