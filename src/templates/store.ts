import { type Selectable, sql } from 'kysely';

import type { Trx } from '../storage/database.ts';
import type { TemplateVersionsTable } from './table.ts';

/** Bytes of configs that one page of a list may carry; the rest comes with the next page. */
const PAGE_CONFIG_BYTES = 4_194_304;

/** A template as its present version has it. */
export type TemplateRow = Selectable<TemplateVersionsTable>;

export async function findTemplate(
  trx: Trx,
  workspaceId: string,
  templateId: string,
): Promise<TemplateRow | undefined> {
  return trx
    .selectFrom('templates')
    .innerJoin('template_versions', (join) =>
      join
        .onRef('template_versions.workspace_id', '=', 'templates.workspace_id')
        .onRef('template_versions.template_id', '=', 'templates.id')
        .onRef('template_versions.version', '=', 'templates.version'),
    )
    .selectAll('template_versions')
    .where('templates.workspace_id', '=', workspaceId)
    .where('templates.id', '=', templateId)
    .executeTakeFirst();
}

/** Up to `limit` templates after `after`, by id; fewer when their configs are large, but at least one. */
export async function listTemplates(
  trx: Trx,
  workspaceId: string,
  page: { after: string; limit: number },
): Promise<{ rows: TemplateRow[]; more: boolean }> {
  const { rows: found } = await sql<TemplateRow & { page_bytes: string }>`
    SELECT v.*, sum(octet_length(v.config_bytes)) OVER (ORDER BY v.template_id) AS page_bytes
    FROM (
      SELECT * FROM templates WHERE workspace_id = ${workspaceId} AND id > ${page.after} ORDER BY id
      LIMIT ${page.limit + 1}
    ) t
    JOIN template_versions v
      ON v.workspace_id = t.workspace_id AND v.template_id = t.id AND v.version = t.version
    ORDER BY v.template_id`.execute(trx);
  const rows = found
    .slice(0, page.limit)
    .filter(({ page_bytes: bytes }, index) => index === 0 || Number(bytes) <= PAGE_CONFIG_BYTES);
  return { rows, more: found.length > rows.length };
}

/** The version that is next, whether the template is there, was there once, or never was. */
export async function nextVersion(trx: Trx, workspaceId: string, templateId: string): Promise<number> {
  const row = await trx
    .selectFrom('template_versions')
    .select(({ fn }) => fn.max('version').as('last'))
    .where('workspace_id', '=', workspaceId)
    .where('template_id', '=', templateId)
    .executeTakeFirst();
  return Number(row?.last ?? 0) + 1;
}

/** Stores a version and makes it the one in force; of a template that is not there, too. */
export async function storeVersion(trx: Trx, row: TemplateRow): Promise<void> {
  const { workspace_id: workspaceId, template_id: id, version, created_at: updatedAt } = row;
  await trx.insertInto('template_versions').values(row).execute();
  await trx
    .insertInto('templates')
    .values({ workspace_id: workspaceId, id, version, updated_at: updatedAt })
    .onConflict((conflict) => conflict.columns(['workspace_id', 'id']).doUpdateSet({ version, updated_at: updatedAt }))
    .execute();
}

/** Removes the template; its versions stay as evidence. */
export async function deleteTemplate(trx: Trx, workspaceId: string, templateId: string): Promise<void> {
  await trx.deleteFrom('templates').where('workspace_id', '=', workspaceId).where('id', '=', templateId).execute();
}

/** Workspaces, of those named or of all, that have such a template: at most two. For castellan_system. */
export async function workspacesWith(trx: Trx, templateId: string, among: readonly string[] | '*'): Promise<string[]> {
  let query = trx.selectFrom('templates').select('workspace_id').where('id', '=', templateId);
  if (among !== '*') query = query.where('workspace_id', 'in', [...among]);
  const rows = await query.limit(2).execute();
  return rows.map((row) => row.workspace_id);
}
