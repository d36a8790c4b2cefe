import { type Selectable, sql } from 'kysely';

import type {} from '../audit/table.ts';
import type { Trx } from '../storage/database.ts';
import type { KillSwitchesTable } from './table.ts';
import type { SwitchKey } from './target.ts';

export type SwitchRow = Selectable<KillSwitchesTable> & { readonly reason: string | null };

/** True when the chain exists, that is: the workspace. */
export async function chainExists(trx: Trx, chain: string): Promise<boolean> {
  const row = await trx.selectFrom('audit_heads').select('chain').where('chain', '=', chain).executeTakeFirst();
  return row !== undefined;
}

/** The switch if it is engaged, with its reason where that is not erased. */
export async function findSwitch(trx: Trx, { chain, agentId }: SwitchKey): Promise<SwitchRow | undefined> {
  return trx
    .selectFrom('kill_switches')
    .leftJoin('audit_personal', (join) =>
      join
        .onRef('audit_personal.chain', '=', 'kill_switches.workspace_id')
        .onRef('audit_personal.seq', '=', 'kill_switches.seq')
        .on('audit_personal.member', '=', 'reason'),
    )
    .selectAll('kill_switches')
    .select('audit_personal.value as reason')
    .where('kill_switches.workspace_id', '=', chain)
    .where('kill_switches.agent_id', '=', agentId)
    .executeTakeFirst();
}

export async function insertSwitch(trx: Trx, row: Selectable<KillSwitchesTable>): Promise<void> {
  await trx.insertInto('kill_switches').values(row).execute();
}

export async function deleteSwitch(trx: Trx, { chain, agentId }: SwitchKey): Promise<void> {
  await trx.deleteFrom('kill_switches').where('workspace_id', '=', chain).where('agent_id', '=', agentId).execute();
}

/** Agents of the transaction's workspace that run although a switch is engaged for them, by id. */
export async function runningAgainstSwitch(trx: Trx, limit: number): Promise<{ id: string; managed: boolean }[]> {
  const { rows } = await sql<{ id: string; managed: boolean }>`
    SELECT id, managed FROM agents_running_against_a_switch(${limit})`.execute(trx);
  return rows;
}

/** Workspaces that have such agents, by id; for castellan_system. Without an engaged switch it reads no agent. */
export async function workspacesAgainstSwitch(trx: Trx, after: string, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT w.id FROM workspaces w
    WHERE (SELECT count(*) FROM kill_switches) > 0 AND w.id > ${after}
      AND EXISTS (SELECT FROM kill_switches k WHERE k.agent_id = '' AND k.workspace_id IN ('_system', w.id))
      AND EXISTS (SELECT FROM agents a WHERE a.workspace_id = w.id AND a.status IN ('starting', 'running'))
    UNION
    SELECT k.workspace_id FROM kill_switches k
    JOIN agents a ON a.workspace_id = k.workspace_id AND a.id = k.agent_id::uuid
    WHERE k.agent_id <> '' AND k.workspace_id > ${after} AND a.status IN ('starting', 'running')
    ORDER BY 1 LIMIT ${limit}`.execute(trx);
  return rows.map((row) => row.id);
}

/**
 * Whether any managed agent that the switch names may have a process, whatever its status says by now: it is stopping, or a
 * supervisor still holds it. Without a scope it is about all workspaces, for castellan_system.
 */
export async function mayHaveProcesses(trx: Trx, of: { workspaceId?: string; agentId?: string }): Promise<boolean> {
  const workspace = (column: string) =>
    of.workspaceId === undefined ? sql`true` : sql`${sql.ref(column)} = ${of.workspaceId}`;
  const agent = (column: string) => (of.agentId === undefined ? sql`true` : sql`${sql.ref(column)} = ${of.agentId}`);
  const { rows } = await sql<{ may: boolean }>`
    SELECT EXISTS (SELECT FROM agent_claims c WHERE ${workspace('c.workspace_id')} AND ${agent('c.agent_id')})
      OR EXISTS (
        SELECT FROM agents a
        WHERE a.managed AND a.status = 'stopping' AND ${workspace('a.workspace_id')} AND ${agent('a.id')}
      ) AS may`.execute(trx);
  return rows[0]?.may !== false;
}

/**
 * A number higher than that of every transaction that is writing now. One of its own: what a snapshot calls its end is only
 * past the newest that has ended, and others are under way behind it.
 */
export async function nextWriter(trx: Trx): Promise<bigint> {
  return number(await sql<{ number: string }>`SELECT pg_current_xact_id()::text AS number`.execute(trx));
}

/** The lowest number of a transaction that is still writing, or that will. */
export async function oldestWriter(trx: Trx): Promise<bigint> {
  return number(
    await sql<{ number: string }>`SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS number`.execute(trx),
  );
}

function number({ rows: [row] }: { readonly rows: readonly { readonly number: string }[] }): bigint {
  if (row === undefined) throw new RangeError('the database numbers no transaction');
  return BigInt(row.number);
}
