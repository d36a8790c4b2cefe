import type { AuditAppender, Claim, PreparedScope } from '../audit/append.ts';
import type { EventInput, EventReceipt } from '../audit/event.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { Caller } from './caller.ts';
import { timeOf } from './damaged.ts';
import { isActive, transition } from './lifecycle.ts';
import { found, known } from './lookup.ts';
import type { StopView } from './schema.ts';
import { type RunChange, type RunStateRow, runStateLookup, runWrite } from './store.ts';

type Scope = PreparedScope<RunStateRow>;

/** What ends or forbids running. These are brakes: they commit even when no signature can be had (audit.md). */
export interface AgentBrakes {
  /**
   * Ends running; an agent that does not run stays as it is, without an event. With a `cause` its processes get no time to
   * end, also when it is stopping already.
   */
  stop(
    workspaceId: string,
    agentId: string,
    request: { readonly reason?: string; readonly cause?: 'stop-token' },
    caller: Caller,
    claim?: Claim<StopView>,
  ): Promise<StopView>;
  /** Ends running and forbids it until a release. */
  quarantine(
    workspaceId: string,
    agentId: string,
    reason: string,
    caller: Caller,
    claim?: Claim<StopView>,
  ): Promise<StopView>;
  /** Stops a sandbox agent whose time is up, seen as such by the unit's clock. False when there was nothing to stop. */
  expire(workspaceId: string, agentId: string): Promise<boolean>;
}

export function createAgentBrakes(parts: { audit: AuditAppender; runtimes: RuntimeRegistry }): AgentBrakes {
  const { audit, runtimes } = parts;

  async function stop(
    workspaceId: string,
    agentId: string,
    { reason, cause }: { readonly reason?: string; readonly cause?: 'stop-token' },
    caller: Caller,
    claim?: Claim<StopView>,
  ): Promise<StopView> {
    return brake(workspaceId, agentId, claim, (scope, row) => {
      const now = cause !== undefined;
      const result = transition(row.status, 'stop');
      if (!('to' in result) && !(now && row.status === 'stopping')) return unchanged(row);
      const change = isActive(row.status)
        ? stopped(workspaceId, row)
        : { status: 'stopped' as const, desiredReplicas: 0, readyReplicas: 0 };
      const why = { ...(cause === undefined ? {} : { cause }), ...(reason === undefined ? {} : { reason }) };
      return settle(
        scope,
        row,
        { ...change, now },
        {
          type: 'agent.stopped',
          actor: caller,
          payload: { agentId, ...why },
          traceId: caller.traceId,
        },
      );
    });
  }

  async function quarantine(
    workspaceId: string,
    agentId: string,
    reason: string,
    caller: Caller,
    claim?: Claim<StopView>,
  ): Promise<StopView> {
    return brake(workspaceId, agentId, claim, (scope, row) => {
      const result = transition(row.status, 'quarantine');
      if (!('to' in result)) return unchanged(row);
      const quarantine = { at: new Date(scope.now).toISOString(), by: caller.id, reason };
      const change = { status: result.to, desiredReplicas: 0, readyReplicas: 0, quarantine };
      return settle(scope, row, change, {
        type: 'agent.quarantined',
        actor: caller,
        payload: { agentId, reason, wasRunning: isActive(row.status) },
        traceId: caller.traceId,
      });
    });
  }

  async function expire(workspaceId: string, agentId: string): Promise<boolean> {
    const result = await brake(workspaceId, agentId, undefined, (scope, row) => {
      const { expires_at: expiresAt } = row;
      // By number: an edited row may hold -infinity, which is no Date, and must not keep an agent running.
      if (expiresAt === null || Number(expiresAt) > scope.now) return unchanged(row);
      if (!('to' in transition(row.status, 'expire'))) return unchanged(row);
      return settle(scope, row, stopped(workspaceId, row), {
        type: 'agent.expired',
        actor: { id: 'castellan', kind: 'system' },
        payload: { agentId, expiresAt: timeOf(expiresAt), wasRunning: true },
      });
    });
    return result.auditEvent !== null;
  }

  /** Runs `work` on the row under the chain's lock, so that no start can come in between. */
  function brake(
    workspaceId: string,
    agentId: string,
    claim: Claim<StopView> | undefined,
    work: (scope: Scope, row: RunStateRow) => StopView,
  ): Promise<StopView> {
    known(agentId);
    return audit.commit({
      chain: workspaceId,
      claim,
      brake: true,
      lookup: runStateLookup,
      key: agentId,
      decide: (scope) => work(scope, found(scope.row)),
    });
  }

  function stopped(workspaceId: string, row: RunStateRow) {
    const request = { workspaceId, agentId: row.id, replicas: 0 };
    const run = runtimes.driverOf(row.managed).onStop(request);
    return { status: run.status, desiredReplicas: 0, readyReplicas: run.readyReplicas };
  }

  return { stop, quarantine, expire };
}

function settle(
  scope: Scope,
  { workspace: workspaceId, id: agentId }: RunStateRow,
  change: RunChange,
  event: EventInput,
): StopView {
  scope.write(runWrite, { workspaceId, agentId, at: new Date(scope.now), ...change });
  return view(agentId, change.status, scope.append(event));
}

function unchanged(row: RunStateRow): StopView {
  return view(row.id, row.status, null);
}

function view(agentId: string, status: StopView['status'], auditEvent: EventReceipt | null): StopView {
  return { success: true, agentId, status, auditEvent };
}
