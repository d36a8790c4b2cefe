import type pg from 'pg';

import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';
import type { World } from './world.ts';

/** Complete enough to be promoted by the shipped policy, and of a usual size. */
export const SPEC = {
  name: 'bench agent',
  description: 'Reads the incoming documents of one customer and writes a summary of each.',
  model: { provider: 'example', name: 'large-2', temperature: 0.3 },
  instructions: 'Summarise what is asked for. Keep to the facts that the sources give, and name them.',
  capabilities: ['search', 'summarize'],
  budget: { monthlyUsd: 50 },
};

/** Workspaces so far: each has a number of its own, which is part of its agents' ids. */
let workspaces = 0;

export interface Agents {
  readonly workspaceId: string;
  readonly count: number;
  /** The id of the nth agent, in the order of the list. */
  id(index: number): string;
}

/**
 * A workspace with `count` stopped sandbox agents. The rows are written by SQL, for a million of them would take an hour
 * through the API; they are those that `insertAgent` writes, and the counts are those that the trigger keeps.
 */
export async function workspaceWithAgents(world: World, workspaceId: string, count: number): Promise<Agents> {
  await world.call('POST', '/v1/workspaces', { workspaceId }, 201);
  workspaces += 1;
  const prefix = `0199${workspaces.toString(16).padStart(4, '0')}-0000-7000-8000-`;
  await insertAgents(world.db, { workspaceId, prefix, count });
  return { workspaceId, count, id: (index) => `${prefix}${(index + 1).toString(16).padStart(12, '0')}` };
}

async function insertAgents(
  db: pg.Client,
  { workspaceId, prefix, count }: { workspaceId: string; prefix: string; count: number },
): Promise<void> {
  const bytes = canonicalBytes(SPEC);
  const ids = `SELECT ($2 || lpad(to_hex(n), 12, '0'))::uuid AS id, n FROM generate_series(1, $3::integer) AS n`;
  const common = [workspaceId, prefix, count];
  await db.query('BEGIN');
  // The trigger that keeps the counts works row by row; the count is set once instead.
  await db.query('SET LOCAL session_replication_role = replica');
  await db.query(
    `INSERT INTO agents (workspace_id, id, name, name_folded, mode, status, spec_version, spec_hash, capabilities,
       managed, expires_at, since, created_at, created_by, updated_at)
     SELECT $1, id, 'bench agent', 'bench agent', 'sandbox', 'stopped', 1, $4, $5, false,
       date_trunc('milliseconds', now()) + interval '20 days', date_trunc('milliseconds', now()),
       date_trunc('milliseconds', now()), 'bench', date_trunc('milliseconds', now())
     FROM (${ids}) AS wanted`,
    [...common, sha256Digest(bytes), SPEC.capabilities],
  );
  await db.query(
    `INSERT INTO agent_specs (workspace_id, agent_id, version, spec, spec_bytes, spec_hash, created_at, created_by)
     SELECT $1, id, 1, $4, $5, $6, date_trunc('milliseconds', now()), 'bench' FROM (${ids}) AS wanted`,
    [...common, bytes.toString('utf8'), bytes, sha256Digest(bytes)],
  );
  await db.query(`INSERT INTO agent_directory (agent_id, workspace_id) SELECT id, $1 FROM (${ids}) AS wanted`, common);
  await db.query(`INSERT INTO agent_counts VALUES ($1, 'sandbox', 'stopped', $2)`, [workspaceId, count]);
  await db.query('COMMIT');
}

/** What autovacuum would have done by the time a real table has these rows. */
export async function settleTables(db: pg.Client): Promise<void> {
  await db.query('VACUUM (ANALYZE) agents, agent_specs, agent_directory, agent_counts');
  await db.query('CHECKPOINT');
}
