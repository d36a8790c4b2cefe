import { sql } from 'kysely';

import type { Trx } from '../storage/database.ts';
// The table is the workspaces slice's; of its columns this slice writes settings alone.
import type {} from '../workspaces/table.ts';

export interface StandingRow {
  readonly state: 'active' | 'suspended';
  readonly settings: unknown;
}

/** Whether the workspace works, and its own settings as they are stored. */
export async function findStanding(trx: Trx, workspaceId: string): Promise<StandingRow | undefined> {
  return trx.selectFrom('workspaces').select(['state', 'settings']).where('id', '=', workspaceId).executeTakeFirst();
}

/** The same and the kept number of its agents, which is exact in the unit that holds the chain. */
export async function findOccupancy(
  trx: Trx,
  workspaceId: string,
): Promise<(StandingRow & { readonly agents: number }) | undefined> {
  const { rows } = await sql<StandingRow & { agents: string | number }>`
    SELECT w.state, w.settings,
      (SELECT coalesce(sum(c.n), 0) FROM agent_counts c WHERE c.workspace_id = w.id) AS agents
    FROM workspaces w WHERE w.id = ${workspaceId}`.execute(trx);
  const [row] = rows;
  return row === undefined ? undefined : { ...row, agents: Number(row.agents) };
}

export async function storeSettings(trx: Trx, workspaceId: string, settings: string): Promise<void> {
  await trx.updateTable('workspaces').set({ settings }).where('id', '=', workspaceId).executeTakeFirstOrThrow();
}

/** Workspaces that have set a rate for themselves, at most `limit`. For the system login. */
export async function listCeilings(trx: Trx, limit: number): Promise<{ id: string; settings: unknown }[]> {
  const { rows } = await sql<{ id: string; settings: unknown }>`
    SELECT id, settings FROM workspaces
    WHERE settings #> '{limits,requestsPerSecond}' IS NOT NULL ORDER BY id LIMIT ${limit}`.execute(trx);
  return rows;
}
