import type { Selectable } from 'kysely';

import type { Trx } from '../storage/database.ts';
import type { BreakGlassElevationsTable, EndCause } from './table.ts';

export type ElevationRow = Selectable<BreakGlassElevationsTable>;

export async function insertElevation(trx: Trx, row: ElevationRow): Promise<void> {
  await trx.insertInto('break_glass_elevations').values(row).execute();
}

/** The one of a principal that has not been ended, also when its time is over. */
export async function findOpen(trx: Trx, workspaceId: string, principalId: string): Promise<ElevationRow | undefined> {
  return trx
    .selectFrom('break_glass_elevations')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .where('principal_id', '=', principalId)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
}

export async function findElevation(trx: Trx, workspaceId: string, id: string): Promise<ElevationRow | undefined> {
  return trx
    .selectFrom('break_glass_elevations')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .executeTakeFirst();
}

/** Wherever it is. For the system login. */
export async function findAnywhere(trx: Trx, id: string): Promise<ElevationRow | undefined> {
  return trx.selectFrom('break_glass_elevations').selectAll().where('id', '=', id).executeTakeFirst();
}

export async function storeEnd(
  trx: Trx,
  { workspace_id: workspaceId, id }: Pick<ElevationRow, 'workspace_id' | 'id'>,
  end: { readonly at: Date; readonly cause: EndCause },
): Promise<void> {
  await trx
    .updateTable('break_glass_elevations')
    .set({ ended_at: end.at, end_cause: end.cause })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
}

/** Every elevation that has not been ended, at most `limit`. For the system login. */
export async function listOpen(trx: Trx, limit: number): Promise<ElevationRow[]> {
  return trx
    .selectFrom('break_glass_elevations')
    .selectAll()
    .where('ended_at', 'is', null)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Elevations after `after` by id, in the workspaces named or in all. For the system login, which sees every row. */
export async function listElevations(
  trx: Trx,
  among: readonly string[] | '*',
  page: { readonly after: string | undefined; readonly limit: number; readonly activeAt: Date | undefined },
): Promise<ElevationRow[]> {
  let query = trx.selectFrom('break_glass_elevations').selectAll();
  if (among !== '*') query = query.where('workspace_id', 'in', [...among]);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  if (page.activeAt !== undefined) query = query.where('ended_at', 'is', null).where('expires_at', '>', page.activeAt);
  return query.orderBy('id').limit(page.limit).execute();
}
