import { setTimeout as delay } from 'node:timers/promises';

import type { StopAgents, Stopper } from '../agents/stop-running.ts';
import type { AuditAppender, UnitScope } from '../audit/append.ts';
import type { Storage } from '../storage/storage.ts';
import { mayHaveProcesses, nextWriter, oldestWriter, runningAgainstSwitch, workspacesAgainstSwitch } from './store.ts';
import type { KillSwitchTarget } from './target.ts';

/** Agents stopped in one unit: its events, and the time the chain is locked, stay small. */
const PAGE = 100;
/** Workspaces found at once, and worked on at the same time. */
const ROUND = 100;
const CONCURRENCY = 8;
/** Ms for transactions that were under way, and between looks at them. */
const WRITERS_MS = 2000;
const LOOK_MS = 20;
/** Ms between looks at agents whose processes are ending: supervisors hear of it within some 350. */
const ENDING_LOOK_MS = 50;

const CASTELLAN: Stopper = { id: 'castellan', kind: 'system' };

/** Stops what runs against an engaged switch. Each round goes by what is stored, so it can be broken off and taken up anywhere. */
export interface Enforcement {
  /** In an open unit of the workspace, a brake: stops one page; true when there may be more. */
  page(scope: UnitScope, workspaceId: string, by: Stopper): Promise<boolean>;
  /** Stops what is left in one workspace; false when the signal came first. */
  workspace(workspaceId: string, by: Stopper, signal: AbortSignal): Promise<boolean>;
  /** The same in every workspace. One that cannot be written to does not keep the agents of another running. */
  everywhere(by: Stopper, signal: AbortSignal): Promise<boolean>;
  /** For the job. */
  round(signal: AbortSignal): Promise<void>;
  /** Resolves when every transaction that was writing has ended; false when the signal came first, or they take too long. */
  writersGone(signal: AbortSignal): Promise<boolean>;
  /** Resolves when no process is left of what the switch names, which is stopped; false when the signal came first. */
  processesGone(target: KillSwitchTarget, signal: AbortSignal): Promise<boolean>;
}

export function createEnforcement(parts: {
  storage: Storage;
  audit: AuditAppender;
  stopAgents: StopAgents;
  /** Monotonic ms. */
  now: () => number;
}): Enforcement {
  const { storage, audit, stopAgents, now } = parts;

  async function page(scope: UnitScope, workspaceId: string, by: Stopper): Promise<boolean> {
    // Under the chain's lock: whoever was cleared meanwhile, or has stopped, is not among them.
    const agents = await runningAgainstSwitch(scope.trx, PAGE);
    await stopAgents(scope, workspaceId, agents, by);
    return agents.length === PAGE;
  }

  async function workspace(workspaceId: string, by: Stopper, signal: AbortSignal): Promise<boolean> {
    for (let more = true; more; ) {
      if (signal.aborted) return false;
      more = await audit.commit({
        chain: workspaceId,
        brake: true,
        work: (scope) => page(scope, workspaceId, by),
      });
    }
    return true;
  }

  async function everywhere(by: Stopper, signal: AbortSignal): Promise<boolean> {
    const failures: unknown[] = [];
    for (let after = ''; ; ) {
      const found = await storage.system((trx) => workspacesAgainstSwitch(trx, after, ROUND));
      for (let at = 0; at < found.length; at += CONCURRENCY) {
        const some = found.slice(at, at + CONCURRENCY);
        const outcomes = await Promise.allSettled(some.map((workspaceId) => workspace(workspaceId, by, signal)));
        for (const outcome of outcomes) if (outcome.status === 'rejected') failures.push(outcome.reason);
      }
      const last = found.at(-1);
      if (signal.aborted) return false;
      if (last === undefined || found.length < ROUND) break;
      after = last;
    }
    if (failures.length > 0)
      throw new AggregateError(failures, `${failures.length} workspaces still have running agents`);
    return true;
  }

  async function writersGone(signal: AbortSignal): Promise<boolean> {
    const until = now() + WRITERS_MS;
    const next = await storage.system(nextWriter);
    for (;;) {
      if ((await storage.system(oldestWriter)) >= next) return true;
      if (signal.aborted || now() >= until) return false;
      await delay(LOOK_MS, undefined, { ref: false });
    }
  }

  async function processesGone(target: KillSwitchTarget, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      const mayRun =
        target.scope === 'fleet'
          ? await storage.system((trx) => mayHaveProcesses(trx, {}))
          : await storage.read(target.workspaceId, (trx) => mayHaveProcesses(trx, target));
      if (!mayRun) return true;
      if (signal.aborted) return false;
      await delay(ENDING_LOOK_MS, undefined, { ref: false });
    }
  }

  return {
    page,
    workspace,
    everywhere,
    round: async (signal) => {
      await everywhere(CASTELLAN, signal);
    },
    writersGone,
    processesGone,
  };
}
