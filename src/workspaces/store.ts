import { type Selectable, sql } from 'kysely';

import type { Trx } from '../storage/database.ts';
import type { WorkspacesTable } from './table.ts';

export type WorkspaceRow = Omit<Selectable<WorkspacesTable>, 'settings'>;

const COLUMNS = ['id', 'display_name', 'state', 'created_at', 'created_by', 'suspended_at', 'suspended_by'] as const;

/** Stores a new workspace; undefined, and nothing stored, when there is one of that name. */
export async function insertWorkspace(
  trx: Trx,
  workspace: { id: string; displayName: string; createdAt: Date; createdBy: string },
): Promise<WorkspaceRow | undefined> {
  return trx
    .insertInto('workspaces')
    .values({
      id: workspace.id,
      display_name: workspace.displayName,
      created_at: workspace.createdAt,
      created_by: workspace.createdBy,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning(COLUMNS)
    .executeTakeFirst();
}

export async function findWorkspace(trx: Trx, workspaceId: string): Promise<WorkspaceRow | undefined> {
  return trx.selectFrom('workspaces').select(COLUMNS).where('id', '=', workspaceId).executeTakeFirst();
}

/** Workspaces after `after` by id, of those named or of all. For the system login, which sees every row. */
export async function listWorkspaces(
  trx: Trx,
  among: readonly string[] | '*',
  page: { after: string; limit: number },
): Promise<WorkspaceRow[]> {
  let query = trx.selectFrom('workspaces').select(COLUMNS).where('id', '>', page.after);
  if (among !== '*') query = query.where('id', 'in', [...among]);
  return query.orderBy('id').limit(page.limit).execute();
}

/** Suspends the workspace, or ends its suspension. */
export async function storeState(
  trx: Trx,
  workspaceId: string,
  suspension: { readonly at: Date; readonly by: string } | null,
): Promise<WorkspaceRow> {
  return trx
    .updateTable('workspaces')
    .set({
      state: suspension === null ? 'active' : 'suspended',
      suspended_at: suspension?.at ?? null,
      suspended_by: suspension?.by ?? null,
    })
    .where('id', '=', workspaceId)
    .returning(COLUMNS)
    .executeTakeFirstOrThrow();
}

/** Suspended workspaces in which agents run all the same. For the system login. */
export async function listUnfinished(trx: Trx, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT w.id FROM workspaces w
    WHERE w.state = 'suspended' AND EXISTS (
      SELECT FROM agents a WHERE a.workspace_id = w.id AND a.status IN ('starting', 'running'))
    ORDER BY w.id LIMIT ${limit}`.execute(trx);
  return rows.map(({ id }) => id);
}
