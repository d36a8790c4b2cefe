import { type Insertable, type Selectable, sql } from 'kysely';

import type {} from '../agents/table.ts';
import type {} from '../kill-switch/table.ts';
import type { Trx } from '../storage/database.ts';
import { tableRoutine } from '../storage/session.ts';
import type {} from '../workspaces/table.ts';
import type { RunStatus } from './schema.ts';
import type { SandboxRunsTable } from './table.ts';
import type { FinalStatus } from './verdict.ts';

export type RunRow = Selectable<SandboxRunsTable>;
export type RunSummary = Omit<RunRow, 'results' | 'results_digest'>;

/** A process says that it is alive. */
export const HOST_BEAT = tableRoutine('sandbox_host_beat', 3);

const OPEN: readonly RunStatus[] = ['queued', 'running'];
const SUMMARY = [
  'workspace_id',
  'id',
  'agent_id',
  'spec_hash',
  'status',
  'owner',
  'commands',
  'timeout_seconds',
  'limits',
  'isolation',
  'allow_domains',
  'created_at',
  'created_by',
  'trace_id',
  'started_at',
  'ended_at',
  'cancelled_by',
  'cause',
] as const;

export async function insertRun(trx: Trx, row: Insertable<SandboxRunsTable>): Promise<void> {
  await trx.insertInto('sandbox_runs').values(row).execute();
}

export async function findRun(
  trx: Trx,
  workspaceId: string,
  agentId: string,
  runId: string,
): Promise<RunRow | undefined> {
  return trx
    .selectFrom('sandbox_runs')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', runId)
    .where('agent_id', '=', agentId)
    .executeTakeFirst();
}

/** By id, that is by time. */
export async function listRuns(
  trx: Trx,
  workspaceId: string,
  agentId: string,
  page: { readonly status: RunStatus | undefined; readonly after: string | undefined; readonly limit: number },
): Promise<RunSummary[]> {
  let query = trx
    .selectFrom('sandbox_runs')
    .select(SUMMARY)
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId);
  if (page.status !== undefined) query = query.where('status', '=', page.status);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  return query.orderBy('id').limit(page.limit).execute();
}

/** False when it does not wait any more. */
export async function startRun(trx: Trx, workspaceId: string, runId: string, at: Date): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('sandbox_runs')
    .set({ status: 'running', started_at: at })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', runId)
    .where('status', '=', 'queued')
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** False when it has ended before: that stays as it is. */
export async function endRun(
  trx: Trx,
  workspaceId: string,
  runId: string,
  end: {
    readonly status: FinalStatus;
    readonly cause: string | null;
    readonly ended_at: Date;
    readonly results: Buffer;
    readonly results_digest: string;
  },
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('sandbox_runs')
    .set(end)
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', runId)
    .where('status', 'in', OPEN)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Asks whoever runs it to end it. */
export async function askToCancel(trx: Trx, workspaceId: string, runId: string, by: string): Promise<void> {
  await trx
    .updateTable('sandbox_runs')
    .set({ cancelled_by: by })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', runId)
    .where('status', 'in', OPEN)
    .where('cancelled_by', 'is', null)
    .execute();
}

export async function hasOpenRuns(trx: Trx, workspaceId: string, agentId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('sandbox_runs')
    .select('id')
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId)
    .where('status', 'in', OPEN)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

export async function deleteRunsOf(trx: Trx, workspaceId: string, agentId: string): Promise<void> {
  await trx
    .deleteFrom('sandbox_runs')
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId)
    .execute();
}

/** An open run of one process, and why it must not go on. */
export interface OpenRun {
  readonly id: string;
  readonly cause: string | null;
}

/** All open runs of a process, of every workspace, in one statement. For the system login. */
export async function findOpen(trx: Trx, owner: string, now: Date): Promise<OpenRun[]> {
  const { rows } = await sql<OpenRun>`
    SELECT r.id, CASE
      WHEN EXISTS (
        SELECT FROM kill_switches k WHERE k.workspace_id = '_system' AND k.agent_id = ''
          OR k.workspace_id = r.workspace_id AND k.agent_id IN ('', r.agent_id::text)
      ) THEN 'kill_switch'
      WHEN a.id IS NULL THEN 'agent_deleted'
      WHEN a.status = 'quarantined' OR a.quarantine IS NOT NULL OR a.invalidation IS NOT NULL THEN 'quarantine'
      WHEN w.state IS DISTINCT FROM 'active' THEN 'suspension'
      WHEN a.mode = 'sandbox' AND (a.expires_at IS NULL OR a.expires_at <= ${now}) THEN 'expiry'
      WHEN r.cancelled_by IS NOT NULL THEN 'caller'
    END AS cause
    FROM sandbox_runs r
    LEFT JOIN agents a ON a.workspace_id = r.workspace_id AND a.id = r.agent_id
    LEFT JOIN workspaces w ON w.id = r.workspace_id
    WHERE r.owner = ${owner} AND r.status IN ('queued', 'running')`.execute(trx);
  return rows;
}

/** An open run of another process, and what is known of that. */
export interface ForeignRun {
  readonly workspace_id: string;
  readonly id: string;
  readonly agent_id: string;
  readonly owner: string;
  readonly commands: string[];
  readonly beat_at: Date | null;
  readonly is_silent: boolean;
  readonly place: string | null;
  readonly pid: number | null;
}

/** Open runs of processes that have said nothing for so long, or that were here, as this one. For the system login. */
export async function findForeign(
  trx: Trx,
  owner: string,
  search: { readonly place: string | undefined; readonly silentMs: number; readonly limit: number },
): Promise<ForeignRun[]> {
  const { rows } = await sql<ForeignRun>`
    SELECT * FROM (
      SELECT r.workspace_id, r.id, r.agent_id, r.owner, r.commands, h.beat_at, h.place, h.pid,
        coalesce(h.beat_at < clock_timestamp() - ${search.silentMs} * interval '1 millisecond', true) AS is_silent
      FROM sandbox_runs r LEFT JOIN sandbox_hosts h ON h.instance = r.owner
      WHERE r.status IN ('queued', 'running')
    ) foreign_runs
    WHERE is_silent OR place = ${search.place ?? null} OR owner = ${owner} ORDER BY id LIMIT ${search.limit}`.execute(
    trx,
  );
  return rows;
}

/** Runs that ended before, the oldest first. For the system login. */
export async function findOld(
  trx: Trx,
  before: Date,
  limit: number,
): Promise<{ readonly workspace_id: string; readonly id: string }[]> {
  return trx
    .selectFrom('sandbox_runs')
    .select(['workspace_id', 'id'])
    .where('ended_at', '<', before)
    .orderBy('ended_at')
    .limit(limit)
    .execute();
}

export async function deleteRuns(trx: Trx, workspaceId: string, ids: readonly string[]): Promise<void> {
  await trx
    .deleteFrom('sandbox_runs')
    .where('workspace_id', '=', workspaceId)
    .where('id', 'in', [...ids])
    .where('ended_at', 'is not', null)
    .execute();
}
