import type { Denial } from '../admission/check.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { AuditAppender, UnitScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import type { EventReceipt } from '../audit/event.ts';
import { retryStale } from '../audit/retry.ts';
import { recordDecision } from '../decisions/ledger.ts';
import { NotFound } from '../http/problem.ts';
import { newId } from '../ids.ts';
import type { RunState } from '../runtime/driver.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { Caller } from './caller.ts';
import { AdmissionDenied } from './errors.ts';
import { found, known } from './lookup.ts';
import { type Ruling, rulingOf } from './ruling.ts';
import type { StartView } from './schema.ts';
import { replicasOf } from './spec.ts';
import { changeRun } from './store.ts';

/** The part of admission that a start needs. */
export type StartAdmission = Pick<AdmissionService, 'load' | 'evaluate' | 'reread'>;

export interface StartObserver {
  allowed(): void;
  /** With the first denial's code. */
  denied(code: string): void;
}

/** Takes one structured line per decision. */
interface DecisionLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/**
 * Starts an agent if admission lets it: the change, the ledger row and the event are one transaction, made on what
 * admission saw. A denial throws AdmissionDenied, with its event and row committed. A running agent is left alone.
 */
export type StartAgent = (
  workspaceId: string,
  agentId: string,
  request: { readonly replicas?: number },
  caller: Caller,
) => Promise<StartView>;

interface Parts {
  readonly audit: AuditAppender;
  readonly admission: StartAdmission;
  readonly runtimes: RuntimeRegistry;
  readonly observe: StartObserver;
  readonly log: DecisionLog;
}

/** A ruling about a subject, and who asked for it. */
interface Case {
  readonly subject: AdmissionSubject;
  readonly shadow: unknown;
  readonly caller: Caller;
}

interface Decision {
  readonly id: string;
  readonly receipt: EventReceipt;
}

export function createStartAgent({ audit, admission, runtimes, observe, log }: Parts): StartAgent {
  return (workspaceId, agentId, request, caller) =>
    retryStale(() => attempt(workspaceId, known(agentId), request.replicas, caller));

  async function attempt(
    workspaceId: string,
    agentId: string,
    asked: number | undefined,
    caller: Caller,
  ): Promise<StartView> {
    const subject = found(await admission.load(workspaceId, agentId, caller));
    const driver = runtimes.driverFor(subject.spec?.json);
    const { status } = subject;
    // Running without an invalidation: what is asked for is so already (contract §5).
    if (subject.invalidation === null && (status === 'starting' || status === 'running')) {
      return { success: true, agentId, status, managed: driver.managed, alreadyRunning: true };
    }
    const outcome = await admission.evaluate(subject);
    const ruling = rulingOf(outcome);
    const one: Case = { subject, shadow: outcome.shadow, caller };
    if (!ruling.allowed) {
      const decision = await commit(one, ruling, (scope) => deny(scope, one, ruling.denies));
      throw new AdmissionDenied(decision.id, ruling.denies, decision.receipt);
    }
    const replicas = asked ?? replicasOf(subject.spec?.json);
    const run = driver.onStart({ workspaceId, agentId, replicas });
    const decision = await commit(one, ruling, (scope) => allow(scope, one, replicas, run, driver.managed));
    return {
      success: true,
      agentId,
      status: run.status,
      managed: driver.managed,
      admission: { policyHash: subject.policy.hash, checks: ruling.checks, interceptors: ruling.interceptors },
      decisionId: decision.id,
      auditEvent: decision.receipt,
    };
  }

  async function commit(one: Case, ruling: Ruling, work: (scope: UnitScope) => Promise<Decision>): Promise<Decision> {
    const decision = await audit.commit({
      chain: one.subject.workspaceId,
      work: async (scope) => {
        await requireUnchanged(scope, one.subject, ruling);
        return work(scope);
      },
    });
    report(one, ruling, decision);
    return decision;
  }

  async function requireUnchanged(scope: UnitScope, subject: AdmissionSubject, ruling: Ruling): Promise<void> {
    const now = await admission.reread(scope.trx, subject.workspaceId, subject.agentId);
    if (now === undefined) throw new NotFound();
    if (now.fingerprint !== subject.fingerprint || now.policyHash !== subject.policy.hash) {
      throw new StaleRead('the agent or its policy');
    }
    // It may have expired while it waited for the chain.
    if (ruling.allowed && subject.expiresAt !== null && subject.expiresAt.getTime() <= scope.now) {
      throw new StaleRead('the time left to the agent');
    }
  }

  function report({ subject, caller }: Case, ruling: Ruling, decision: Decision): void {
    const codes = ruling.allowed ? [] : ruling.denies.map((deny) => deny.code);
    const code = ruling.allowed ? 'ALLOWED' : ruling.denies[0].code;
    if (ruling.allowed) observe.allowed();
    else observe.denied(code);
    const { workspaceId, agentId } = subject;
    const fields = { decisionId: decision.id, action: 'agent.start', workspaceId, agentId, actorId: caller.id, code };
    log.info({ ...fields, codes, auditSeq: decision.receipt.seq, traceId: caller.traceId }, 'decision');
  }
}

async function allow(
  scope: UnitScope,
  one: Case,
  replicas: number,
  run: RunState,
  managed: boolean,
): Promise<Decision> {
  const { workspaceId, agentId, mode, specVersion, specHash, policy } = one.subject;
  const change = { status: run.status, managed, desiredReplicas: replicas, readyReplicas: run.readyReplicas };
  await changeRun(scope.trx, workspaceId, agentId, change, new Date(scope.now));
  const id = newId();
  const receipt = scope.append({
    type: 'agent.start.allowed',
    actor: one.caller,
    payload: { agentId, decisionId: id, mode, specVersion, specHash, policyHash: policy.hash, replicas },
    traceId: one.caller.traceId,
  });
  return record(scope, one, { id, receipt }, []);
}

async function deny(scope: UnitScope, one: Case, denies: readonly Denial[]): Promise<Decision> {
  const { agentId, mode, specHash, policy } = one.subject;
  const id = newId();
  const flat = denies.map(({ code, reason, severity, check }) => ({ code, reason, severity, check }));
  const receipt = scope.append({
    type: 'agent.start.denied',
    actor: one.caller,
    payload: { agentId, decisionId: id, mode, specHash, policyHash: policy.hash, denies: flat },
    traceId: one.caller.traceId,
  });
  return record(scope, one, { id, receipt }, denies);
}

async function record(
  scope: UnitScope,
  { subject, shadow, caller }: Case,
  decision: Decision,
  denies: readonly Denial[],
): Promise<Decision> {
  await recordDecision(scope.trx, {
    workspaceId: subject.workspaceId,
    id: decision.id,
    kind: 'start',
    agentId: subject.agentId,
    denies,
    actor: caller,
    policyHash: subject.policy.hash,
    specHash: subject.specHash,
    shadow,
    traceId: caller.traceId,
    auditSeq: decision.receipt.seq,
    createdAt: new Date(scope.now),
  });
  return decision;
}
