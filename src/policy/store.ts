import { sql } from 'kysely';

import type { Trx } from '../storage/database.ts';

export interface VersionSummaryRow {
  version: number;
  policy_set: string;
  hash: string;
  wasm_sha256: string;
  compiler_version: string;
  packages: string[];
  created_at: Date;
  created_by: string;
  reason: string | null;
}

export interface NewVersion {
  readonly version: number;
  readonly policySet: string;
  readonly hash: string;
  readonly bundle: Buffer;
  readonly wasm: Buffer;
  readonly wasmSha256: string;
  readonly compilerVersion: string;
  readonly packages: readonly string[];
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly reason: string | undefined;
}

const SUMMARY = [
  'version',
  'policy_set',
  'hash',
  'wasm_sha256',
  'compiler_version',
  'packages',
  'created_at',
  'created_by',
  'reason',
] as const;

/** The canonical bundle of a version. */
export async function findBundle(trx: Trx, workspaceId: string, version: number): Promise<Buffer | undefined> {
  const row = await trx
    .selectFrom('policy_versions')
    .select('bundle')
    .where('workspace_id', '=', workspaceId)
    .where('version', '=', version)
    .executeTakeFirst();
  return row?.bundle;
}

export async function findVersion(
  trx: Trx,
  workspaceId: string,
  version: number,
): Promise<VersionSummaryRow | undefined> {
  return trx
    .selectFrom('policy_versions')
    .select(SUMMARY)
    .where('workspace_id', '=', workspaceId)
    .where('version', '=', version)
    .executeTakeFirst();
}

export async function findVersionByHash(
  trx: Trx,
  workspaceId: string,
  hash: string,
): Promise<VersionSummaryRow | undefined> {
  return trx
    .selectFrom('policy_versions')
    .select(SUMMARY)
    .where('workspace_id', '=', workspaceId)
    .where('hash', '=', hash)
    .executeTakeFirst();
}

/** Versions after `after`, ascending. */
export async function listVersions(
  trx: Trx,
  workspaceId: string,
  page: { after: number; limit: number },
): Promise<VersionSummaryRow[]> {
  return trx
    .selectFrom('policy_versions')
    .select(SUMMARY)
    .where('workspace_id', '=', workspaceId)
    .where('version', '>', page.after)
    .orderBy('version')
    .limit(page.limit)
    .execute();
}

/** The number a new version gets; free of races only under the chain's lock. */
export async function nextVersion(trx: Trx, workspaceId: string): Promise<number> {
  const row = await trx
    .selectFrom('policy_versions')
    .select(({ fn }) => fn.max('version').as('last'))
    .where('workspace_id', '=', workspaceId)
    .executeTakeFirst();
  return (row?.last ?? 0) + 1;
}

export async function insertVersion(trx: Trx, workspaceId: string, version: NewVersion): Promise<void> {
  await trx
    .insertInto('policy_versions')
    .values({
      workspace_id: workspaceId,
      version: version.version,
      policy_set: version.policySet,
      hash: version.hash,
      bundle: version.bundle,
      wasm: version.wasm,
      wasm_sha256: version.wasmSha256,
      compiler_version: version.compilerVersion,
      packages: [...version.packages],
      created_at: version.createdAt,
      created_by: version.createdBy,
      reason: version.reason ?? null,
    })
    .execute();
}

export interface Activation {
  readonly policySet: string;
  readonly version: number;
  readonly hash: string;
  readonly seq: number;
  readonly at: Date;
  readonly by: string;
}

/** Points the head at a version; a candidate beside it is dropped, for it was compared with what is gone. */
export async function activate(trx: Trx, workspaceId: string, activation: Activation): Promise<void> {
  const head = {
    policy_set: activation.policySet,
    version: activation.version,
    hash: activation.hash,
    activation_seq: activation.seq,
    shadow_version: null,
    shadow_hash: null,
    shadow_seq: null,
    activated_at: activation.at,
    activated_by: activation.by,
  };
  await trx
    .insertInto('policy_heads')
    .values({ workspace_id: workspaceId, ...head, revision: 1 })
    .onConflict((conflict) =>
      conflict.column('workspace_id').doUpdateSet({ ...head, revision: sql<number>`policy_heads.revision + 1` }),
    )
    .execute();
}

/** Sets the candidate beside the active version. */
export async function shadow(
  trx: Trx,
  workspaceId: string,
  candidate: { version: number; hash: string; seq: number },
): Promise<void> {
  await trx
    .updateTable('policy_heads')
    .set({
      shadow_version: candidate.version,
      shadow_hash: candidate.hash,
      shadow_seq: candidate.seq,
      revision: sql<number>`revision + 1`,
    })
    .where('workspace_id', '=', workspaceId)
    .execute();
}

export async function bumpRevision(trx: Trx, workspaceId: string): Promise<void> {
  await trx
    .updateTable('policy_heads')
    .set({ revision: sql<number>`revision + 1` })
    .where('workspace_id', '=', workspaceId)
    .execute();
}

/** Ids of invalidated agents, ascending, at most `limit`, and how many there are; only that one when it is named. */
export async function findInvalidated(
  trx: Trx,
  workspaceId: string,
  limit: number,
  onlyAgent?: string,
): Promise<{ ids: string[]; total: number }> {
  const invalidated = sql`
    FROM agents WHERE workspace_id = ${workspaceId} AND invalidation IS NOT NULL
      AND (${onlyAgent ?? null}::uuid IS NULL OR id = ${onlyAgent ?? null}::uuid)`;
  // One row more than shown tells whether counting is needed at all.
  const { rows } = await sql<{ id: string }>`SELECT id ${invalidated} ORDER BY id LIMIT ${limit + 1}`.execute(trx);
  const ids = rows.slice(0, limit).map((row) => row.id);
  if (rows.length <= limit) return { ids, total: ids.length };
  const count = await sql<{ n: number }>`SELECT count(*) AS n ${invalidated}`.execute(trx);
  return { ids, total: count.rows[0]?.n ?? ids.length };
}
