import type { StopRunning } from '../agents/stop-running.ts';
import type { AuditAppender, Claim } from '../audit/append.ts';
import { NotFound } from '../http/problem.ts';
import type { Storage } from '../storage/storage.ts';
import type { SuspendedView, WorkspaceView } from './schema.ts';
import { view, type WorkspaceCaller } from './service.ts';
import { findWorkspace, listUnfinished, storeState, type WorkspaceRow } from './store.ts';

/** Agents stopped in one unit: its events, and the time the chain is locked, stay small. */
const PAGE = 100;
/** Ms in which a suspension stops what runs before it answers; the rest is for the job. */
const PATIENCE_MS = 5000;
/** Workspaces that one round of the job works on. */
const ROUND = 100;

/** Holding a workspace still, and letting it go on. */
export interface Suspension {
  /**
   * From its commit on nothing starts or changes there; what runs is stopped, the first of it in the same transaction.
   * A brake. A suspended workspace stays as it is, without an event.
   */
  suspend(
    workspaceId: string,
    reason: string,
    caller: WorkspaceCaller,
    claim?: Claim<SuspendedView>,
  ): Promise<SuspendedView>;
  /** What was stopped stays so until somebody starts it. An active workspace stays as it is, without an event. */
  resume(
    workspaceId: string,
    reason: string,
    caller: WorkspaceCaller,
    claim?: Claim<WorkspaceView>,
  ): Promise<WorkspaceView>;
  /** One round of the job: stops what still runs in suspended workspaces, also after a crash. */
  finish(signal: AbortSignal): Promise<void>;
}

export function createSuspension(parts: {
  storage: Storage;
  audit: AuditAppender;
  stopRunning: StopRunning;
  /** Monotonic ms. */
  now: () => number;
}): Suspension {
  const { storage, audit, stopRunning, now } = parts;

  async function suspend(
    workspaceId: string,
    reason: string,
    caller: WorkspaceCaller,
    claim?: Claim<SuspendedView>,
  ): Promise<SuspendedView> {
    const until = now() + PATIENCE_MS;
    const { traceId, ...actor } = caller;
    const first = await audit.commit({
      chain: workspaceId,
      brake: true,
      claim,
      work: async (scope) => {
        const row = found(await findWorkspace(scope.trx, workspaceId));
        if (row.state === 'suspended') return { ...view(row), stopped: 0, stopping: false };
        const at = new Date(scope.now);
        const suspended = await storeState(scope.trx, workspaceId, { at, by: actor.id });
        const stopped = await stopRunning(scope, workspaceId, PAGE, caller);
        scope.append({ type: 'workspace.suspended', actor, payload: { workspaceId, reason, stopped }, traceId });
        return { ...view(suspended), stopped, stopping: stopped === PAGE };
      },
    });
    let { stopped, stopping } = first;
    while (stopping && now() < until) {
      const more = await stopPage(workspaceId, caller);
      stopped += more;
      stopping = more === PAGE;
    }
    return { ...first, stopped, stopping };
  }

  async function resume(
    workspaceId: string,
    reason: string,
    { traceId, ...actor }: WorkspaceCaller,
    claim?: Claim<WorkspaceView>,
  ): Promise<WorkspaceView> {
    return audit.commit({
      chain: workspaceId,
      claim,
      work: async ({ trx, append }) => {
        const row = found(await findWorkspace(trx, workspaceId));
        if (row.state === 'active') return view(row);
        const active = await storeState(trx, workspaceId, null);
        append({ type: 'workspace.resumed', actor, payload: { workspaceId, reason }, traceId });
        return view(active);
      },
    });
  }

  async function finish(signal: AbortSignal): Promise<void> {
    const workspaces = await storage.system((trx) => listUnfinished(trx, ROUND));
    const failures: unknown[] = [];
    for (const workspaceId of workspaces) {
      // One that cannot be written to must not keep the agents of another running.
      try {
        while (!signal.aborted && (await stopPage(workspaceId, { id: 'castellan', kind: 'system' })) === PAGE);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Unless somebody resumed it meanwhile. */
  function stopPage(workspaceId: string, by: Parameters<StopRunning>[3]): Promise<number> {
    return audit.commit({
      chain: workspaceId,
      brake: true,
      work: async (scope) => {
        const row = await findWorkspace(scope.trx, workspaceId);
        return row?.state === 'suspended' ? stopRunning(scope, workspaceId, PAGE, by) : 0;
      },
    });
  }

  return { suspend, resume, finish };
}

function found(row: WorkspaceRow | undefined): WorkspaceRow {
  if (row === undefined) throw new NotFound();
  return row;
}
