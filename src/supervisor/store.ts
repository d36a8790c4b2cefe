import { sql } from 'kysely';

import type { AgentStatus } from '../agents/lifecycle.ts';
import type {} from '../agents/table.ts';
import type { Trx } from '../storage/database.ts';
import { tableRoutine, voidRoutine } from '../storage/session.ts';
import type { Storage } from '../storage/storage.ts';
import { type Claim, type ClaimKey, keyOf, type ReadyReport } from './claim.ts';
import type {} from './table.ts';

const ENTER = voidRoutine('supervisor_enter', 2);
const ROUND = tableRoutine('supervisor_round', 6);
const REPORT = tableRoutine('supervisor_report', 6);
const RELEASE = tableRoutine('supervisor_release', 4);
const LEAVE = voidRoutine('supervisor_leave', 2);

/** Agents by workspace and id. */
export type AgentKey = Pick<Claim, 'workspaceId' | 'agentId'>;

/** What a round finds. */
export interface Round {
  /** ms that the lease still holds, by the database's clock as it answered. */
  readonly leaseMs: number;
  readonly known: string;
  /** Everything that is claimed; undefined: nothing of it has changed. */
  readonly claims: readonly Claim[] | undefined;
  /** Agents that nobody has, with launches whose supervisor was lost; not every round is told. */
  readonly lost: readonly AgentKey[];
}

/** What supervisors keep in the database, each step one round trip. */
export interface SupervisorStore {
  /** Makes an instance, with a lease and without claims. */
  enter(id: string, leaseMs: number): Promise<void>;
  /** Undefined: the lease is lost, and with it all that was claimed. */
  round(
    id: string,
    question: { leaseMs: number; known: string; room: number; found: readonly AgentKey[] },
  ): Promise<Round | undefined>;
  /** The keys of agents that could be looked at. */
  report(id: string, reports: readonly ReadyReport[]): Promise<ReadonlySet<string>>;
  /** For agents without a process; the keys of those that were let go. */
  release(id: string, claims: readonly ClaimKey[]): Promise<ReadonlySet<string>>;
  /** `local`: what was claimed has no process any more. */
  leave(id: string, local: boolean): Promise<void>;
}

type RoundRow = {
  lease_ms: number | null;
  known: string | null;
  workspace: string;
  id: string;
  token: number;
  status: AgentStatus | null;
  desired: number | null;
  ready: number | null;
  generation: number | null;
  started_generation: number | null;
  started_by: Claim['startedBy'];
  is_urgent: boolean;
  is_lost: boolean;
};

export function createSupervisorStore(storage: Pick<Storage, 'systemCall'>): SupervisorStore {
  return {
    enter: async (id, leaseMs) => {
      await storage.systemCall(ENTER, [id, leaseMs]);
    },
    round: async (id, { leaseMs, known, room, found }) => {
      const workspaces = found.map(({ workspaceId }) => workspaceId);
      const ids = found.map(({ agentId }) => agentId);
      const [head, ...rows] = await storage.systemCall<RoundRow>(ROUND, [id, leaseMs, known, room, workspaces, ids]);
      if (head === undefined || head.lease_ms === null || head.known === null) return undefined;
      return {
        leaseMs: head.lease_ms,
        known: head.known,
        claims: head.known === known ? undefined : rows.filter((row) => !row.is_lost).map(claimOf),
        lost: rows.filter((row) => row.is_lost).map((row) => ({ workspaceId: row.workspace, agentId: row.id })),
      };
    },
    report: async (id, reports) =>
      keys(
        await storage.systemCall<KeyRow>(REPORT, [
          id,
          reports.map((one) => one.workspaceId),
          reports.map((one) => one.agentId),
          reports.map((one) => one.token),
          reports.map((one) => one.generation),
          reports.map((one) => one.readyReplicas),
        ]),
      ),
    release: async (id, claims) =>
      keys(
        await storage.systemCall<KeyRow>(RELEASE, [
          id,
          claims.map((one) => one.workspaceId),
          claims.map((one) => one.agentId),
          claims.map((one) => one.token),
        ]),
      ),
    leave: async (id, local) => {
      await storage.systemCall(LEAVE, [id, local]);
    },
  };
}

type KeyRow = { workspace: string; id: string };

function keys(rows: readonly KeyRow[]): Set<string> {
  return new Set(rows.map(({ workspace, id }) => keyOf({ workspaceId: workspace, agentId: id })));
}

function claimOf(row: RoundRow): Claim {
  return {
    workspaceId: row.workspace,
    agentId: row.id,
    token: Number(row.token),
    status: row.status,
    desiredReplicas: row.desired ?? 0,
    readyReplicas: row.ready ?? 0,
    generation: Number(row.generation ?? 0),
    startedGeneration: Number(row.started_generation ?? 0),
    startedBy: row.started_by,
    isUrgent: row.is_urgent,
  };
}

/** In a unit of the workspace: whether the claim still holds and what is wanted of the agent has not changed. */
export async function isCurrent(trx: Trx, claim: Claim): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM agents a
    JOIN agent_claims c ON c.workspace_id = a.workspace_id AND c.agent_id = a.id
    WHERE a.workspace_id = ${claim.workspaceId} AND a.id = ${claim.agentId} AND c.token = ${claim.token}
      AND a.started_generation = ${claim.startedGeneration} AND a.status IN ('starting', 'running')`.execute(trx);
  return rows.length === 1;
}

/** Of an agent that runs. */
export async function storeFailure(trx: Trx, { workspaceId, agentId }: AgentKey, now: Date): Promise<void> {
  await trx
    .updateTable('agents')
    .set({
      status: 'failed',
      desired_replicas: 0,
      ready_replicas: 0,
      since: now,
      updated_at: now,
      version: sql`version + 1`,
      generation: sql`generation + 1`,
    })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', agentId)
    .execute();
}

/** In a unit of the workspace, beside agent.launched: from here on it must be said how that launch ended. */
export async function insertLaunch(
  trx: Trx,
  { workspaceId, agentId, token }: ClaimKey,
  { launchId, replica }: { launchId: string; replica: number },
): Promise<void> {
  await trx
    .insertInto('agent_launches')
    .values({ workspace_id: workspaceId, agent_id: agentId, launch_id: launchId, replica, token })
    .execute();
}

/** In a unit of the workspace: false when the end of that launch is written down already. */
export async function deleteLaunch(trx: Trx, { workspaceId, agentId }: AgentKey, launchId: string): Promise<boolean> {
  const { numDeletedRows } = await trx
    .deleteFrom('agent_launches')
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId)
    .where('launch_id', '=', launchId)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

/** In a unit of the workspace: launches under claims that hold no more, the oldest first; they are not known any more. */
export async function deleteLostLaunches(
  trx: Trx,
  { workspaceId, agentId }: AgentKey,
): Promise<{ launchId: string; replica: number }[]> {
  const { rows } = await sql<{ launchId: string; replica: number }>`
    WITH lost AS (
      DELETE FROM agent_launches l WHERE l.workspace_id = ${workspaceId} AND l.agent_id = ${agentId}
        AND NOT EXISTS (
          SELECT FROM agent_claims c
          WHERE c.workspace_id = l.workspace_id AND c.agent_id = l.agent_id AND c.token = l.token
        )
      RETURNING l.launch_id, l.replica
    )
    SELECT launch_id AS "launchId", replica FROM lost ORDER BY launch_id`.execute(trx);
  return rows;
}

/** As storeExit, of all processes of the agent: what is wanted to run starts again. */
export async function storeLoss(
  trx: Trx,
  { workspaceId, agentId }: AgentKey,
  exit: Readonly<Record<string, unknown>>,
  now: Date,
): Promise<boolean> {
  const isWanted = sql<boolean>`status IN ('starting', 'running')`;
  const { numUpdatedRows } = await trx
    .updateTable('agents')
    .set({
      status: sql<AgentStatus>`CASE WHEN ${isWanted} THEN 'starting' ELSE status END`,
      since: sql<Date>`CASE WHEN ${isWanted} THEN ${now}::timestamptz ELSE since END`,
      ready_replicas: 0,
      last_exit: JSON.stringify(exit),
      updated_at: now,
      version: sql`version + 1`,
    })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', agentId)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** How a process of the agent last ended; an agent that is gone has none. */
export async function storeExit(
  trx: Trx,
  { workspaceId, agentId }: AgentKey,
  exit: Readonly<Record<string, unknown>>,
  now: Date,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('agents')
    .set({ last_exit: JSON.stringify(exit), updated_at: now, version: sql`version + 1` })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', agentId)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}
