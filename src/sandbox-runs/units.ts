import type { Denial } from '../admission/check.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { Caller } from '../agents/caller.ts';
import { AdmissionDenied } from '../agents/errors.ts';
import { found } from '../agents/lookup.ts';
import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import type { Actor } from '../audit/event.ts';
import { recordDecision } from '../decisions/ledger.ts';
import { NotFound } from '../http/problem.ts';
import { newId } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import { limitsView, planDigest, type RunPlan } from './plan.ts';
import { countConnections, type KeptResults, notRun, toStored } from './results.ts';
import type { IsolationView } from './schema.ts';
import { askToCancel, endRun, findRun, insertRun, type RunRow, startRun } from './store.ts';
import { endEvent, type FinalStatus, isFinal, statusOf } from './verdict.ts';

const CASTELLAN: Actor = { id: 'castellan', kind: 'system' };

/** Which run. */
export interface RunKey {
  readonly workspaceId: string;
  readonly agentId: string;
  readonly runId: string;
}

/** How a run ended. `cause`: why before its time. */
export interface RunEnd extends KeptResults {
  readonly cause?: string | undefined;
  /** By default the worst of its commands. */
  readonly status?: FinalStatus;
}

/** The changes of runs, each one unit with its event. */
export interface RunUnits {
  /** The denial, once its event and its row are committed. */
  deny(
    subject: AdmissionSubject,
    denies: readonly Denial[],
    caller: Caller,
    claim: Claim<AdmissionDenied> | undefined,
  ): Promise<AdmissionDenied>;
  /** Throws StaleRead when the agent has changed since it was judged. */
  create(
    subject: AdmissionSubject,
    run: { readonly plan: RunPlan; readonly isolation: IsolationView; readonly status: 'queued' | 'running' },
    caller: Caller,
    claim: Claim<RunKey> | undefined,
  ): Promise<RunKey>;
  /** False when it does not wait any more. Throws StaleRead. */
  start(subject: AdmissionSubject, key: RunKey): Promise<boolean>;
  /** Keeps how it ended; one that has ended stays as it is. */
  end(key: RunKey, end: RunEnd): Promise<void>;
  /** Ends a run that waits, asks for the end of one that runs, leaves one that has ended. Throws NotFound. */
  cancel(key: RunKey, caller: Caller, claim: Claim<RunRow> | undefined): Promise<RunRow>;
}

export function createRunUnits(parts: {
  readonly audit: AuditAppender;
  readonly admission: Pick<AdmissionService, 'reread'>;
  readonly owner: string;
}): RunUnits {
  const { audit, admission, owner } = parts;

  async function requireUnchanged(trx: Trx, now: number, subject: AdmissionSubject): Promise<void> {
    const present = await admission.reread(trx, subject.workspaceId, subject.agentId);
    if (present === undefined) throw new NotFound();
    if (present.fingerprint !== subject.fingerprint) throw new StaleRead('the agent');
    // It may have expired while it waited for the chain.
    const { mode, expiresAt } = subject;
    if (mode === 'sandbox' && expiresAt !== null && subject.now < expiresAt.getTime() && expiresAt.getTime() <= now) {
      throw new StaleRead('the time left to the agent');
    }
  }

  async function deny(
    subject: AdmissionSubject,
    denies: readonly Denial[],
    caller: Caller,
    claim: Claim<AdmissionDenied> | undefined,
  ): Promise<AdmissionDenied> {
    const { workspaceId, agentId, specHash, policy } = subject;
    return audit.commit({
      chain: workspaceId,
      claim,
      work: async ({ trx, append, now }) => {
        await requireUnchanged(trx, now, subject);
        const id = newId();
        const flat = denies.map(({ code, reason, severity, check }) => ({ code, reason, severity, check }));
        const receipt = append({
          type: 'sandbox.run.denied',
          actor: caller,
          payload: { agentId, decisionId: id, specHash, denies: flat },
          traceId: caller.traceId,
        });
        await recordDecision(trx, {
          workspaceId,
          id,
          kind: 'sandbox.run',
          agentId,
          denies,
          actor: caller,
          policyHash: policy.hash,
          specHash,
          traceId: caller.traceId,
          auditSeq: receipt.seq,
          createdAt: new Date(now),
        });
        return new AdmissionDenied(id, denies, receipt);
      },
    });
  }

  async function create(
    subject: AdmissionSubject,
    run: { readonly plan: RunPlan; readonly isolation: IsolationView; readonly status: 'queued' | 'running' },
    caller: Caller,
    claim: Claim<RunKey> | undefined,
  ): Promise<RunKey> {
    const { workspaceId, agentId, specHash } = subject;
    const { plan, isolation, status } = run;
    return audit.commit({
      chain: workspaceId,
      claim,
      work: async ({ trx, append, now }) => {
        await requireUnchanged(trx, now, subject);
        const runId = newId();
        const at = new Date(now);
        await insertRun(trx, {
          workspace_id: workspaceId,
          id: runId,
          agent_id: agentId,
          spec_hash: specHash,
          status,
          owner,
          commands: JSON.stringify(plan.commands),
          timeout_seconds: plan.timeoutSeconds,
          limits: JSON.stringify(limitsView(plan)),
          isolation: JSON.stringify(isolation),
          allow_domains: [...plan.allowDomains],
          created_at: at,
          created_by: caller.id,
          trace_id: caller.traceId,
          started_at: status === 'running' ? at : null,
          ended_at: null,
          cancelled_by: null,
          cause: null,
          results: null,
          results_digest: null,
        });
        append({
          type: 'sandbox.run.created',
          actor: caller,
          payload: {
            agentId,
            runId,
            specHash,
            commands: plan.commands.length,
            requestDigest: planDigest(plan),
            timeoutSeconds: plan.timeoutSeconds,
            allowDomains: [...plan.allowDomains],
          },
          traceId: caller.traceId,
        });
        return { workspaceId, agentId, runId };
      },
    });
  }

  function start(subject: AdmissionSubject, { workspaceId, runId }: RunKey): Promise<boolean> {
    return audit.commit({
      chain: workspaceId,
      // Without an event: it needs no signature.
      brake: true,
      work: async ({ trx, now }) => {
        await requireUnchanged(trx, now, subject);
        return startRun(trx, workspaceId, runId, new Date(now));
      },
    });
  }

  async function end(key: RunKey, how: RunEnd): Promise<void> {
    await audit.commit({
      chain: key.workspaceId,
      // What has happened is recorded, whether it can be signed now or not.
      brake: true,
      work: async (scope) => {
        const row = await findRun(scope.trx, key.workspaceId, key.agentId, key.runId);
        if (row !== undefined && !isFinal(row.status)) await conclude(scope, row, how, CASTELLAN);
      },
    });
  }

  function cancel(key: RunKey, caller: Caller, claim: Claim<RunRow> | undefined): Promise<RunRow> {
    const { workspaceId, agentId, runId } = key;
    return audit.commit({
      chain: workspaceId,
      brake: true,
      claim,
      work: async (scope) => {
        const row = found(await findRun(scope.trx, workspaceId, agentId, runId));
        if (isFinal(row.status)) return row;
        await askToCancel(scope.trx, workspaceId, runId, caller.id);
        if (row.status === 'queued') {
          const commands = row.commands.map((command) => notRun(command, 'cancelled'));
          await conclude(scope, row, { commands, connections: [], cause: 'caller' }, caller);
        }
        return found(await findRun(scope.trx, workspaceId, agentId, runId));
      },
    });
  }

  return { deny, create, start, end, cancel };
}

/** The end of an open run. */
async function conclude(
  { trx, append, now }: UnitScope,
  row: RunRow,
  { commands, connections, cause, ...how }: RunEnd,
  by: Actor & { readonly traceId?: string },
): Promise<void> {
  const outcomes = commands.map(({ result }) => result);
  const status = how.status ?? statusOf(outcomes);
  const { bytes, digest } = toStored({ commands, connections });
  // Asked for in a unit before, or in this one.
  const cancelledBy = by === CASTELLAN ? row.cancelled_by : by.id;
  const isOpen = await endRun(trx, row.workspace_id, row.id, {
    status,
    cause: cause ?? null,
    ended_at: new Date(now),
    results: bytes,
    results_digest: digest,
  });
  if (!isOpen) return;
  const { traceId = row.trace_id, ...actor } = by;
  append({
    type: endEvent(status, outcomes),
    actor: { id: actor.id, kind: actor.kind },
    payload: {
      agentId: row.agent_id,
      runId: row.id,
      status,
      results: outcomes,
      resultsDigest: digest,
      connections: countConnections(connections),
      ...(cause === undefined ? {} : { cause }),
      ...(cause === 'caller' && cancelledBy !== null ? { cancelledBy } : {}),
    },
    traceId,
  });
}
