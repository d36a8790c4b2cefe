import type { AuditAppender } from '../audit/append.ts';
import type { Clock } from '../clock.ts';
import type { Storage } from '../storage/storage.ts';
import type { ActiveRun } from './active.ts';
import { type Host, SILENT_MS } from './hosts.ts';
import { notRun } from './results.ts';
import { deleteRuns, type ForeignRun, findForeign, findOld, findOpen } from './store.ts';
import type { RunUnits } from './units.ts';

/** Runs looked up at a time. */
const ROUND = 500;
const DAY_MS = 86_400_000;

/** The periodic work on sandbox runs. */
export interface RunJobs {
  /** Ends the runs of this process that may not go on, or that somebody wants to end; says that it lives. */
  watch(): Promise<void>;
  /** Ends the runs whose process is gone. */
  recover(signal: AbortSignal): Promise<void>;
  /** Deletes runs that were kept long enough. */
  prune(signal: AbortSignal): Promise<void>;
}

export function createRunJobs(parts: {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly clock: Clock;
  readonly host: Host;
  readonly units: Pick<RunUnits, 'end'>;
  /** Removes what a process that is gone has left of a run, where something can outlive it. */
  readonly discard: ((runId: string) => Promise<void>) | undefined;
  readonly active: ReadonlyMap<string, ActiveRun>;
  readonly retentionDays: number;
}): RunJobs {
  const { storage, audit, clock, host, units, discard, active, retentionDays } = parts;

  let unbegun: ReadonlySet<string> = new Set();

  async function watch(): Promise<void> {
    // Those that come meanwhile may not be in what is read.
    const runs = [...active.values()];
    if (runs.length === 0) return;
    await host.beat();
    const open = await storage.system((trx) => findOpen(trx, host.instance, new Date(clock())));
    const causes = new Map(open.map(({ id, cause }) => [id, cause]));
    for (const run of runs) {
      const cause = causes.get(run.key.runId);
      // One that somebody else has ended: as waiting, or because this process was silent for too long.
      if (cause === undefined) run.cancel('replica_lost');
      else if (cause !== null) run.cancel(cause);
    }
  }

  async function recover(signal: AbortSignal): Promise<void> {
    const search = { place: host.place, silentMs: SILENT_MS, limit: ROUND };
    const runs = await storage.system((trx) => findForeign(trx, host.instance, search));
    const own = runs.filter((run) => run.owner === host.instance && !active.has(run.id));
    // Its row was committed, and the answer of the database lost; or it is only just beginning.
    const never = own.filter((run) => unbegun.has(run.id));
    unbegun = new Set(own.map((run) => run.id));
    const failures: unknown[] = [];
    for (const run of [...never, ...host.lost(runs.filter((run) => run.owner !== host.instance))]) {
      if (signal.aborted) return;
      // One workspace that cannot be written to must not keep the runs of another open.
      await endLost(run).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  async function endLost({
    workspace_id: workspaceId,
    id: runId,
    agent_id: agentId,
    commands,
  }: ForeignRun): Promise<void> {
    await units.end(
      { workspaceId, agentId, runId },
      // What came of them nobody knows; nothing of them is left.
      {
        commands: commands.map((command) => notRun(command, 'setup_failed')),
        connections: [],
        status: 'error',
        cause: 'replica_lost',
      },
    );
    // Last: its record waits for no cluster, which has a deadline of its own.
    await discard?.(runId);
  }

  async function prune(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const before = new Date(clock() - retentionDays * DAY_MS);
      const old = await storage.system((trx) => findOld(trx, before, ROUND));
      for (const [chain, rows] of Map.groupBy(old, (row) => row.workspace_id)) {
        const ids = rows.map((row) => row.id);
        await audit.commit({ chain, work: ({ trx }) => deleteRuns(trx, chain, ids) });
      }
      if (old.length < ROUND) return;
    }
  }

  return { watch, recover, prune };
}
