import type { UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import { changeRuns, listRunning } from './store.ts';

/** Who stops them: a caller, or the service itself. */
export type Stopper = Actor & { readonly traceId?: string };

/**
 * In a unit of the workspace: stops agents that run, at most `limit`, each with its agent.stopped; how many. Fewer than
 * `limit` means that none runs any more. For what stops a whole workspace; the unit is a brake.
 */
export type StopRunning = (scope: UnitScope, workspaceId: string, limit: number, by: Stopper) => Promise<number>;

/** The same for these agents, which run as the unit sees them. */
export type StopAgents = (
  scope: UnitScope,
  workspaceId: string,
  running: readonly { readonly id: string; readonly managed: boolean }[],
  by: Stopper,
) => Promise<number>;

export function createStopRunning(runtimes: RuntimeRegistry): StopRunning {
  const stopAgents = createStopAgents(runtimes);
  return async (scope, workspaceId, limit, by) =>
    stopAgents(scope, workspaceId, await listRunning(scope.trx, workspaceId, limit), by);
}

export function createStopAgents(runtimes: RuntimeRegistry): StopAgents {
  return async (scope, workspaceId, running, { traceId, ...actor }) => {
    const at = new Date(scope.now);
    const changes = running.map(({ id: agentId, managed }) => {
      const { status, readyReplicas } = runtimes.driverOf(managed).onStop({ workspaceId, agentId, replicas: 0 });
      return { workspaceId, agentId, at, status, desiredReplicas: 0, readyReplicas };
    });
    if (changes.length > 0) await changeRuns(scope.trx, changes);
    for (const { agentId } of changes) {
      scope.append({
        type: 'agent.stopped',
        actor,
        payload: { agentId },
        ...(traceId === undefined ? {} : { traceId }),
      });
    }
    return changes.length;
  };
}
