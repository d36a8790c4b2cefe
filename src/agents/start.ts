import type { Denial } from '../admission/check.ts';
import type { AdmissionService, FingerprintRow } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { AuditAppender, Claim, PreparedScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import type { EventReceipt } from '../audit/event.ts';
import { retryStale } from '../audit/retry.ts';
import { decisionWrite } from '../decisions/ledger.ts';
import type { CodedError } from '../errors.ts';
import { NotFound } from '../http/problem.ts';
import { claimAs } from '../idempotency/keyed-request.ts';
import { newId } from '../ids.ts';
import type { RunState } from '../runtime/driver.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { Caller } from './caller.ts';
import { AdmissionDenied } from './errors.ts';
import { found, known } from './lookup.ts';
import { type Ruling, rulingOf } from './ruling.ts';
import type { Runnable } from './runnable.ts';
import type { StartView } from './schema.ts';
import { replicasOf } from './spec.ts';
import { runWrite } from './store.ts';

/** The part of admission that a start needs. */
export type StartAdmission = Pick<AdmissionService, 'load' | 'evaluate' | 'fingerprintLookup'>;

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
  claim?: Claim<StartView | CodedError>,
) => Promise<StartView>;

interface Parts {
  readonly audit: AuditAppender;
  readonly admission: StartAdmission;
  readonly runtimes: RuntimeRegistry;
  /** Undefined: no agent is managed. */
  readonly runnable?: Pick<Runnable, 'require'> | undefined;
  readonly observe: StartObserver;
  readonly log: DecisionLog;
}

/** A ruling about a subject, and who asked for it. */
interface Case {
  readonly subject: AdmissionSubject;
  readonly shadow: unknown;
  readonly caller: Caller;
}

type Scope = PreparedScope<FingerprintRow>;

interface Decision {
  readonly id: string;
  readonly receipt: EventReceipt;
}

export function createStartAgent({ audit, admission, runtimes, runnable, observe, log }: Parts): StartAgent {
  return (workspaceId, agentId, request, caller, claim) =>
    retryStale(() => attempt(workspaceId, known(agentId), request.replicas, caller, claim));

  async function attempt(
    workspaceId: string,
    agentId: string,
    asked: number | undefined,
    caller: Caller,
    claim: Claim<StartView | CodedError> | undefined,
  ): Promise<StartView> {
    const subject = found(await admission.load(workspaceId, agentId, caller));
    const driver = runtimes.driverFor(subject.spec?.json);
    const { status } = subject;
    // Running without an invalidation: what is asked for is so already (contract §5). Against a kill switch it is about to end.
    if (
      subject.invalidation === null &&
      subject.killSwitch === null &&
      (status === 'starting' || status === 'running')
    ) {
      return { success: true, agentId, status, managed: driver.managed, alreadyRunning: true };
    }
    if (driver.managed) await runnable?.require(subject);
    const outcome = await admission.evaluate(subject);
    const ruling = rulingOf(outcome);
    const one: Case = { subject, shadow: outcome.shadow, caller };
    if (!ruling.allowed) {
      const { denies } = ruling;
      const refusal = ({ id, receipt }: Decision) => new AdmissionDenied(id, denies, receipt);
      throw refusal(await commit(one, ruling, claimAs(claim, refusal), (scope) => deny(scope, one, denies)));
    }
    const replicas = asked ?? replicasOf(subject.spec?.json);
    const run = driver.onStart({ workspaceId, agentId, replicas });
    const view = ({ id, receipt }: Decision): StartView => ({
      success: true,
      agentId,
      status: run.status,
      managed: driver.managed,
      admission: { policyHash: subject.policy.hash, checks: ruling.checks, interceptors: ruling.interceptors },
      decisionId: id,
      auditEvent: receipt,
    });
    const start = (scope: Scope) => allow(scope, one, replicas, run, driver.managed);
    return view(await commit(one, ruling, claimAs(claim, view), start));
  }

  async function commit(
    one: Case,
    ruling: Ruling,
    claim: Claim<Decision> | undefined,
    decide: (scope: Scope) => Decision,
  ): Promise<Decision> {
    const decision = await audit.commit({
      chain: one.subject.workspaceId,
      claim,
      lookup: admission.fingerprintLookup,
      key: one.subject.agentId,
      decide: (scope: Scope) => {
        requireUnchanged(scope, one.subject, ruling);
        return decide(scope);
      },
    });
    report(one, ruling, decision);
    return decision;
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

function requireUnchanged({ row, now }: Scope, subject: AdmissionSubject, ruling: Ruling): void {
  if (row === undefined) throw new NotFound();
  if (row.fingerprint !== subject.fingerprint || row.policy_hash !== subject.policy.hash) {
    throw new StaleRead('the agent or its policy');
  }
  // It may have expired while it waited for the chain.
  if (ruling.allowed && subject.expiresAt !== null && subject.expiresAt.getTime() <= now) {
    throw new StaleRead('the time left to the agent');
  }
}

function allow(scope: Scope, one: Case, replicas: number, run: RunState, managed: boolean): Decision {
  const { workspaceId, agentId, mode, specVersion, specHash, policy } = one.subject;
  const { id: callerId, kind, roles } = one.caller;
  const change = { status: run.status, managed, desiredReplicas: replicas, readyReplicas: run.readyReplicas };
  const by = managed ? { startedBy: { id: callerId, kind, roles } } : {};
  scope.write(runWrite, { workspaceId, agentId, at: new Date(scope.now), ...change, ...by });
  const id = newId();
  const receipt = scope.append({
    type: 'agent.start.allowed',
    actor: one.caller,
    payload: { agentId, decisionId: id, mode, specVersion, specHash, policyHash: policy.hash, replicas },
    traceId: one.caller.traceId,
  });
  return record(scope, one, { id, receipt }, []);
}

function deny(scope: Scope, one: Case, denies: readonly Denial[]): Decision {
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

function record(
  scope: Scope,
  { subject, shadow, caller }: Case,
  decision: Decision,
  denies: readonly Denial[],
): Decision {
  scope.write(decisionWrite, {
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
