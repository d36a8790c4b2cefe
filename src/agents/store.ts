import { type Selectable, sql } from 'kysely';

import { lookupBy, type Write } from '../audit/append.ts';
import type { Trx } from '../storage/database.ts';
import { createKeyedRead, type KeyedRead, type KeyedRow } from '../storage/keyed-read.ts';
import { voidRoutine } from '../storage/session.ts';
import type { Storage } from '../storage/storage.ts';
import type { AgentMode, AgentStatus } from './lifecycle.ts';
import type { StoredSpec } from './spec.ts';
import type { AgentsTable } from './table.ts';

/** Bytes of specs that one page of a list may carry; the rest comes with the next page. */
const PAGE_SPEC_BYTES = 4_194_304;
/** A filtered total is counted up to here (contract §5). */
export const COUNT_LIMIT = 10_000;

/** An agent with the spec its row names; no spec bytes when that row is gone. */
export type AgentRow = Selectable<AgentsTable> & { spec_bytes: Buffer | null };

export interface NewAgent {
  readonly id: string;
  readonly name: string;
  readonly nameFolded: string;
  readonly capabilities: readonly string[];
  readonly managed: boolean;
  readonly spec: StoredSpec;
  readonly expiresAt: Date;
  readonly forkedFrom: { readonly agentId: string; readonly specVersion: number } | null;
  readonly createdBy: string;
}

export interface AgentFilter {
  readonly search?: string | undefined;
  readonly capability?: string | undefined;
  readonly mode?: AgentMode | undefined;
  readonly status?: AgentStatus | undefined;
}

export interface RunChange {
  readonly status: AgentStatus;
  readonly managed?: boolean;
  readonly desiredReplicas: number;
  readonly readyReplicas: number;
  readonly quarantine?: { readonly at: string; readonly by: string; readonly reason: string };
  /** Of a start: the actor of the launches that follow from it. */
  readonly startedBy?: { readonly id: string; readonly kind: string; readonly roles: readonly string[] };
  /** Of a stop: its processes get no time to end. */
  readonly now?: boolean;
}

/** True when the workspace exists; its rows are otherwise as empty as those of a workspace that does not. */
export async function workspaceExists(trx: Trx, workspaceId: string): Promise<boolean> {
  const { rows } = await sql`SELECT FROM workspaces WHERE id = ${workspaceId}`.execute(trx);
  return rows.length === 1;
}

/** Stores a new sandbox agent with version 1 of its spec. */
export async function insertAgent(trx: Trx, workspaceId: string, agent: NewAgent, now: Date): Promise<void> {
  await trx
    .insertInto('agents')
    .values({
      workspace_id: workspaceId,
      id: agent.id,
      name: agent.name,
      name_folded: agent.nameFolded,
      mode: 'sandbox',
      status: 'stopped',
      spec_version: 1,
      spec_hash: agent.spec.hash,
      capabilities: [...agent.capabilities],
      managed: agent.managed,
      expires_at: agent.expiresAt,
      since: now,
      proof_id: null,
      forked_from: agent.forkedFrom === null ? null : JSON.stringify(agent.forkedFrom),
      created_at: now,
      created_by: agent.createdBy,
      updated_at: now,
    })
    .execute();
  await insertSpec(trx, workspaceId, agent.id, { version: 1, spec: agent.spec, createdBy: agent.createdBy }, now);
  await trx.insertInto('agent_directory').values({ agent_id: agent.id, workspace_id: workspaceId }).execute();
}

/** Makes `next` the agent's spec: a new row of agent_specs, and the columns that list and search by it. */
export async function replaceSpec(
  trx: Trx,
  workspaceId: string,
  agentId: string,
  next: Omit<NewAgent, 'id' | 'expiresAt' | 'forkedFrom'> & { readonly version: number },
  now: Date,
): Promise<void> {
  await insertSpec(trx, workspaceId, agentId, next, now);
  await trx
    .updateTable('agents')
    .set({
      name: next.name,
      name_folded: next.nameFolded,
      capabilities: [...next.capabilities],
      managed: next.managed,
      spec_version: next.version,
      spec_hash: next.spec.hash,
      version: sql`version + 1`,
      updated_at: now,
    })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', agentId)
    .execute();
}

/** The agent as `trx` sees it. */
export async function findAgent(trx: Trx, workspaceId: string, agentId: string): Promise<AgentRow | undefined> {
  return trx
    .selectFrom('agents')
    .leftJoin('agent_specs', (join) =>
      join
        .onRef('agent_specs.workspace_id', '=', 'agents.workspace_id')
        .onRef('agent_specs.agent_id', '=', 'agents.id')
        .onRef('agent_specs.version', '=', 'agents.spec_version'),
    )
    .selectAll('agents')
    .select('agent_specs.spec_bytes')
    .where('agents.workspace_id', '=', workspaceId)
    .where('agents.id', '=', agentId)
    .executeTakeFirst();
}

/** A run state to store; `since` is the moment of the change. */
export interface RunWrite extends RunChange {
  readonly workspaceId: string;
  readonly agentId: string;
  readonly at: Date;
}

const CHANGE_RUNS = voidRoutine('change_runs', 10);

/** The run states of units that share a transaction, in one statement. */
export const runWrite: Write<RunWrite> = {
  store: (session, rows) =>
    session.call(CHANGE_RUNS, [
      rows.map((row) => row.workspaceId),
      rows.map((row) => row.agentId),
      rows.map((row) => row.status),
      rows.map((row) => row.desiredReplicas),
      rows.map((row) => row.readyReplicas),
      rows.map((row) => row.managed ?? null),
      rows.map((row) => (row.quarantine === undefined ? null : JSON.stringify(row.quarantine))),
      rows.map((row) => row.at),
      rows.map((row) => (row.startedBy === undefined ? null : JSON.stringify(row.startedBy))),
      rows.map((row) => row.now === true),
    ]),
};

/** Run states that one unit changes by itself. */
export async function changeRuns(
  trx: Trx,
  rows: readonly Omit<RunWrite, 'managed' | 'quarantine' | 'startedBy'>[],
): Promise<void> {
  const nothing = rows.map(() => null);
  await sql`SELECT change_runs(
    ${rows.map((row) => row.workspaceId)}::text[], ${rows.map((row) => row.agentId)}::uuid[],
    ${rows.map((row) => row.status)}::text[], ${rows.map((row) => row.desiredReplicas)}::integer[],
    ${rows.map((row) => row.readyReplicas)}::integer[], ${nothing}::boolean[], ${nothing}::text[],
    ${rows.map((row) => row.at)}::timestamptz[], ${nothing}::text[],
    ${rows.map((row) => row.now === true)}::boolean[])`.execute(trx);
}

/** Agents that run, by id. */
export async function listRunning(
  trx: Trx,
  workspaceId: string,
  limit: number,
): Promise<Pick<AgentRow, 'id' | 'managed'>[]> {
  return trx
    .selectFrom('agents')
    .select(['id', 'managed'])
    .where('workspace_id', '=', workspaceId)
    .where('status', 'in', ['starting', 'running'])
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Other replicas of an agent that runs, since when it does. Ready are those of a managed one that its supervisor has seen. */
export async function changeReplicas(
  trx: Trx,
  workspaceId: string,
  agentId: string,
  replicas: number,
  now: Date,
): Promise<void> {
  await trx
    .updateTable('agents')
    .set({
      desired_replicas: replicas,
      ready_replicas: sql<number>`CASE WHEN managed THEN ready_replicas ELSE ${replicas} END`,
      version: sql`version + 1`,
      generation: sql`generation + 1`,
      updated_at: now,
    })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', agentId)
    .execute();
}

/** The workspace of an agent that is named alone; for castellan_system. */
export async function findWorkspaceOf(trx: Trx, agentId: string): Promise<string | undefined> {
  const row = await trx
    .selectFrom('agent_directory')
    .select('workspace_id')
    .where('agent_id', '=', agentId)
    .executeTakeFirst();
  return row?.workspace_id;
}

/** What ends or forbids running must know of an agent. */
export type RunStateRow = KeyedRow & { status: AgentStatus; managed: boolean; expires_at: Date | null };

export const runStateLookup = lookupBy<RunStateRow>('agents_run_states');

/** In a unit of the workspace: whether a supervisor may still have processes of the agent, whatever its status is by now. */
export async function mayHaveProcesses(trx: Trx, workspaceId: string, agentId: string): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM agent_claims c WHERE c.workspace_id = ${workspaceId} AND c.agent_id = ${agentId}`.execute(trx);
  return rows.length > 0;
}

/** Removes the agent with its output, and what was not said yet of its launches; its specs and proofs stay as evidence. */
export async function deleteAgent(trx: Trx, workspaceId: string, agentId: string): Promise<void> {
  await sql`
    WITH logs AS (DELETE FROM agent_logs WHERE workspace_id = ${workspaceId} AND agent_id = ${agentId}),
      launches AS (DELETE FROM agent_launches WHERE workspace_id = ${workspaceId} AND agent_id = ${agentId})
    DELETE FROM agent_log_heads WHERE workspace_id = ${workspaceId} AND agent_id = ${agentId}`.execute(trx);
  await trx.deleteFrom('agents').where('workspace_id', '=', workspaceId).where('id', '=', agentId).execute();
  await trx
    .deleteFrom('agent_directory')
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId)
    .execute();
}

/**
 * Up to `limit` agents after `after`, by id; fewer when their specs are large, but at least one. `more` says whether
 * others follow.
 */
export async function listAgents(
  trx: Trx,
  workspaceId: string,
  filter: AgentFilter,
  page: { after: string | undefined; limit: number },
): Promise<{ rows: AgentRow[]; more: boolean }> {
  const { rows: found } = await sql<{ id: string }>`
    SELECT id FROM find_agents(${like(filter.search)}, ${filter.capability ?? null}, ${filter.mode ?? null},
      ${filter.status ?? null}, ${page.after ?? null}, ${page.limit + 1}) AS id`.execute(trx);
  const ids = found.slice(0, page.limit).map((row) => row.id);
  if (ids.length === 0) return { rows: [], more: false };
  const { rows } = await sql<AgentRow>`
    SELECT * FROM (
      SELECT a.*, s.spec_bytes, sum(coalesce(octet_length(s.spec_bytes), 0)) OVER (ORDER BY a.id) AS page_bytes,
        row_number() OVER (ORDER BY a.id) AS position
      FROM agents a LEFT JOIN agent_specs s
        ON s.workspace_id = a.workspace_id AND s.agent_id = a.id AND s.version = a.spec_version
      WHERE a.workspace_id = ${workspaceId} AND a.id = ANY(${ids}::uuid[])
    ) page WHERE position = 1 OR page_bytes <= ${PAGE_SPEC_BYTES} ORDER BY id`.execute(trx);
  return { rows, more: found.length > rows.length };
}

/** The kept total of a mode and status, or of all; exact, and never counted. */
export async function keptTotal(
  trx: Trx,
  workspaceId: string,
  filter: Pick<AgentFilter, 'mode' | 'status'>,
): Promise<number> {
  let query = trx
    .selectFrom('agent_counts')
    .select(({ fn }) => fn.sum<string | number | null>('n').as('n'))
    .where('workspace_id', '=', workspaceId);
  if (filter.mode !== undefined) query = query.where('mode', '=', filter.mode);
  if (filter.status !== undefined) query = query.where('status', '=', filter.status);
  const row = await query.executeTakeFirstOrThrow();
  return row.n === null ? 0 : Number(row.n);
}

/** How many agents match, counted up to one more than COUNT_LIMIT. */
export async function countAgents(trx: Trx, filter: AgentFilter): Promise<number> {
  const { rows } = await sql<{ n: string | number }>`
    SELECT count(*) AS n FROM find_agents(${like(filter.search)}, ${filter.capability ?? null}, ${filter.mode ?? null},
      ${filter.status ?? null}, NULL, ${COUNT_LIMIT + 1})`.execute(trx);
  return Number(rows[0]?.n ?? 0);
}

export type StatusRow = Pick<
  AgentRow,
  'id' | 'mode' | 'status' | 'managed' | 'desired_replicas' | 'ready_replicas' | 'since' | 'last_exit'
>;

const STATUS_COLUMNS = [
  'id',
  'mode',
  'status',
  'managed',
  'desired_replicas',
  'ready_replicas',
  'since',
  'last_exit',
] as const;

/** The run states that requests ask for at the same time, in one statement. */
export function runStatusRead(storage: Storage): KeyedRead<StatusRow & KeyedRow> {
  return createKeyedRead<StatusRow & KeyedRow>(storage, 'agents_run_status');
}

/** Run states by id: after a key, which costs the same at any depth, or after `offset` rows, which does not. */
export async function listStatuses(
  trx: Trx,
  workspaceId: string,
  status: AgentStatus | undefined,
  page: { after: string | undefined; offset: number; limit: number },
): Promise<StatusRow[]> {
  let query = trx.selectFrom('agents').select(STATUS_COLUMNS).where('workspace_id', '=', workspaceId);
  if (status !== undefined) query = query.where('status', '=', status);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  return query.orderBy('id').offset(page.offset).limit(page.limit).execute();
}

export interface VersionRow {
  version: number;
  spec_bytes: Buffer;
  spec_hash: string;
  created_at: Date;
  created_by: string;
}

/** Versions of a spec after `after`, ascending, bounded like listAgents. */
export async function listVersions(
  trx: Trx,
  workspaceId: string,
  agentId: string,
  page: { after: number; limit: number },
): Promise<{ rows: VersionRow[]; more: boolean }> {
  const { rows } = await sql<VersionRow & { position: string | number; found: string | number }>`
    SELECT * FROM (
      SELECT version, spec_bytes, spec_hash, created_at, created_by, row_number() OVER (ORDER BY version) AS position,
        sum(octet_length(spec_bytes)) OVER (ORDER BY version) AS page_bytes, count(*) OVER () AS found
      FROM (
        SELECT * FROM agent_specs
        WHERE workspace_id = ${workspaceId} AND agent_id = ${agentId} AND version > ${page.after}
        ORDER BY version LIMIT ${page.limit + 1}
      ) versions
    ) page
    WHERE position <= ${page.limit} AND (position = 1 OR page_bytes <= ${PAGE_SPEC_BYTES})
    ORDER BY version`.execute(trx);
  return { rows, more: Number(rows[0]?.found ?? 0) > rows.length };
}

export interface DueAgent {
  workspace_id: string;
  id: string;
}

/** Running sandbox agents of every workspace whose time is up, the longest overdue first. For the system login. */
export async function findDue(trx: Trx, now: Date, limit: number): Promise<DueAgent[]> {
  return trx
    .selectFrom('agents')
    .select(['workspace_id', 'id'])
    .where('expires_at', '<=', now)
    .where('status', 'in', ['starting', 'running'])
    .orderBy('expires_at')
    .limit(limit)
    .execute();
}

async function insertSpec(
  trx: Trx,
  workspaceId: string,
  agentId: string,
  next: { readonly version: number; readonly spec: StoredSpec; readonly createdBy: string },
  now: Date,
): Promise<void> {
  await trx
    .insertInto('agent_specs')
    .values({
      workspace_id: workspaceId,
      agent_id: agentId,
      version: next.version,
      spec: next.spec.json,
      spec_bytes: next.spec.bytes,
      spec_hash: next.spec.hash,
      created_at: now,
      created_by: next.createdBy,
    })
    .execute();
}

/** A LIKE pattern that finds exactly these characters anywhere. */
function like(search: string | undefined): string | null {
  return search === undefined ? null : `%${search.replaceAll(/[\\%_]/g, '\\$&')}%`;
}
