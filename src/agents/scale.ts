import type { CheckOutcome } from '../admission/chain.ts';
import type { Denial } from '../admission/check.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { requireTimeLeft, requireUnchanged } from '../admission/unchanged.ts';
import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import type { EventReceipt } from '../audit/event.ts';
import { retryStale } from '../audit/retry.ts';
import { recordDecision } from '../decisions/ledger.ts';
import type { CodedError } from '../errors.ts';
import { newId } from '../ids.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { Caller } from './caller.ts';
import { AdmissionDenied, AgentError } from './errors.ts';
import type { AgentStatus } from './lifecycle.ts';
import { found, known } from './lookup.ts';
import { type Ruling, rulingOf } from './ruling.ts';
import type { StartObserver } from './start.ts';
import { changeReplicas } from './store.ts';

/** What became of an agent's replicas. `decisionId` and `admission` only where there was something to decide. */
export interface Scaled {
  readonly success: true;
  readonly agentId: string;
  readonly status: AgentStatus;
  readonly managed: boolean;
  readonly replicas: number;
  readonly previousReplicas: number;
  readonly admission?: {
    readonly policyHash: string;
    readonly checks: readonly CheckOutcome[];
    readonly interceptors: readonly CheckOutcome[];
  };
  readonly decisionId?: string;
  /** Null when nothing had to change. */
  readonly auditEvent: EventReceipt | null;
}

/**
 * Changes how many replicas a running agent has. More of them are launched, so admission decides as it does about a start,
 * and a denial throws AdmissionDenied, with its event and row committed; fewer need nobody's leave. Throws AgentError
 * AGENT_NOT_RUNNING for an agent that does not run.
 */
export type ScaleAgent = (
  workspaceId: string,
  agentId: string,
  request: { readonly replicas: number },
  caller: Caller,
  claim?: Claim<Scaled | CodedError>,
) => Promise<Scaled>;

interface Parts {
  readonly audit: AuditAppender;
  readonly admission: Pick<AdmissionService, 'load' | 'evaluate' | 'reread'>;
  readonly runtimes: RuntimeRegistry;
  readonly observe: Pick<StartObserver, 'denied'>;
  readonly log: { info(fields: Readonly<Record<string, unknown>>, message: string): void };
}

interface Case {
  readonly subject: AdmissionSubject;
  readonly replicas: number;
  readonly managed: boolean;
  readonly caller: Caller;
}

export function createScaleAgent({ audit, admission, runtimes, observe, log }: Parts): ScaleAgent {
  return async (workspaceId, agentId, { replicas }, caller, claim) => {
    const outcome = await retryStale(() => attempt(workspaceId, known(agentId), replicas, caller, claim));
    if (outcome instanceof AdmissionDenied) throw outcome;
    return outcome;
  };

  async function attempt(
    workspaceId: string,
    agentId: string,
    replicas: number,
    caller: Caller,
    claim: Claim<Scaled | CodedError> | undefined,
  ): Promise<Scaled | AdmissionDenied> {
    const subject = found(await admission.load(workspaceId, agentId, caller));
    requireRunning(subject);
    const one: Case = { subject, replicas, managed: runtimes.driverFor(subject.spec?.json).managed, caller };
    if (replicas === subject.desiredReplicas) return shown(one, null);
    if (replicas < subject.desiredReplicas) return commit(one, claim, (scope) => change(scope, one));
    const { shadow, ...outcome } = await admission.evaluate(subject);
    const ruling = rulingOf(outcome);
    const decided = await commit(one, claim, (scope) => decide(scope, one, ruling, shadow));
    report(one, ruling, decided);
    return decided;
  }

  function commit<T extends Scaled | AdmissionDenied>(
    { subject }: Case,
    claim: Claim<Scaled | CodedError> | undefined,
    work: (scope: UnitScope) => Promise<T>,
  ): Promise<T> {
    return audit.commit<T>({
      chain: subject.workspaceId,
      claim,
      work: async (scope) => {
        await requireUnchanged(admission, scope, subject);
        return work(scope);
      },
    });
  }

  function report({ subject, caller }: Case, ruling: Ruling, decided: Scaled | AdmissionDenied): void {
    const { workspaceId, agentId } = subject;
    const codes = ruling.allowed ? [] : ruling.denies.map((deny) => deny.code);
    const code = ruling.allowed ? 'ALLOWED' : ruling.denies[0].code;
    if (!ruling.allowed) observe.denied(code);
    const { decisionId, auditEvent } = decided;
    const fields = { decisionId, action: 'agent.scale', workspaceId, agentId, actorId: caller.id, code, codes };
    log.info({ ...fields, auditSeq: auditEvent?.seq, traceId: caller.traceId }, 'decision');
  }
}

function requireRunning({ status }: AdmissionSubject): void {
  if (status === 'starting' || status === 'running') return;
  throw new AgentError('AGENT_NOT_RUNNING', 'the agent does not run; start it with the replicas it shall have');
}

async function decide(scope: UnitScope, one: Case, ruling: Ruling, shadow: unknown): Promise<Scaled | AdmissionDenied> {
  const { subject } = one;
  if (!ruling.allowed) {
    const { id, receipt } = await deny(scope, one, ruling.denies, shadow);
    return new AdmissionDenied(id, ruling.denies, receipt);
  }
  // It may have expired while it waited for the chain.
  requireTimeLeft(scope, subject);
  const decisionId = newId();
  const scaled = await change(scope, one, { decisionId, policyHash: subject.policy.hash });
  await record(scope, one, { id: decisionId, seq: scaled.auditEvent.seq, denies: [], shadow });
  const { checks, interceptors } = ruling;
  return { ...scaled, admission: { policyHash: subject.policy.hash, checks, interceptors }, decisionId };
}

async function change(
  scope: UnitScope,
  one: Case,
  decision: { readonly decisionId?: string; readonly policyHash?: string } = {},
): Promise<Scaled & { readonly auditEvent: EventReceipt }> {
  const { subject, replicas, caller } = one;
  const { workspaceId, agentId, desiredReplicas: previousReplicas } = subject;
  await changeReplicas(scope.trx, workspaceId, agentId, replicas, new Date(scope.now));
  const receipt = scope.append({
    type: 'agent.scaled',
    actor: caller,
    payload: { agentId, ...decision, replicas, previousReplicas },
    traceId: caller.traceId,
  });
  return { ...shown(one, receipt), auditEvent: receipt };
}

async function deny(
  scope: UnitScope,
  one: Case,
  denies: readonly Denial[],
  shadow: unknown,
): Promise<{ readonly id: string; readonly receipt: EventReceipt }> {
  const { agentId, mode, specHash, policy } = one.subject;
  const id = newId();
  const flat = denies.map(({ code, reason, severity, check }) => ({ code, reason, severity, check }));
  const receipt = scope.append({
    type: 'agent.start.denied',
    actor: one.caller,
    payload: { agentId, decisionId: id, mode, specHash, policyHash: policy.hash, denies: flat },
    traceId: one.caller.traceId,
  });
  await record(scope, one, { id, seq: receipt.seq, denies, shadow });
  return { id, receipt };
}

function record(
  { trx, now }: UnitScope,
  { subject, caller }: Case,
  decision: { id: string; seq: number; denies: readonly Denial[]; shadow: unknown },
): Promise<void> {
  return recordDecision(trx, {
    workspaceId: subject.workspaceId,
    id: decision.id,
    kind: 'scale',
    agentId: subject.agentId,
    denies: decision.denies,
    actor: caller,
    policyHash: subject.policy.hash,
    specHash: subject.specHash,
    shadow: decision.shadow,
    traceId: caller.traceId,
    auditSeq: decision.seq,
    createdAt: new Date(now),
  });
}

function shown({ subject, replicas, managed }: Case, auditEvent: EventReceipt | null): Scaled {
  const { agentId, desiredReplicas: previousReplicas } = subject;
  const status = subject.status === 'starting' ? 'starting' : 'running';
  return { success: true, agentId, status, managed, replicas, previousReplicas, auditEvent };
}
