import type { Static } from '@sinclair/typebox';

import { sha256Digest } from '../crypto/digest.ts';
import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import type { Trx } from '../storage/database.ts';
import { PolicyEvaluationError } from './errors.ts';
import { type PolicyHead, readHead } from './head.ts';
import type { VersionDetailSchema, VersionListSchema, VersionSchema, VersionsQuery } from './schema.ts';
import { findBundle, findVersion, listVersions, type VersionSummaryRow } from './store.ts';

type Version = Static<typeof VersionSchema>;

export interface BundleContent {
  readonly modules: Record<string, string>;
  readonly data: unknown;
}

/** One page of the workspace's policy versions, by version ascending, without their wasm. */
export async function pageVersions(
  trx: Trx,
  workspaceId: string,
  query: Static<typeof VersionsQuery>,
): Promise<Static<typeof VersionListSchema>> {
  const { limit = DEFAULT_LIMIT, cursor } = query;
  const scope: CursorScope = { route: 'policy.versions', workspaceId, sort: 'version' };
  const head = await readHead(trx, workspaceId);
  const after = cursor === undefined ? 0 : position(scope, cursor);
  const rows = await listVersions(trx, workspaceId, { after, limit: limit + 1 });
  const versions = rows.slice(0, limit).map((row) => present(row, head));
  const last = versions.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { versions, nextCursor: more ? encodeCursor(scope, [last.version]) : null };
}

/** One version with its modules and data. */
export async function showVersion(
  trx: Trx,
  workspaceId: string,
  version: number,
): Promise<Static<typeof VersionDetailSchema>> {
  const head = await readHead(trx, workspaceId);
  const row = await findVersion(trx, workspaceId, version);
  if (row === undefined) throw new NotFound();
  return { ...present(row, head), bundle: await readBundle(trx, workspaceId, row) };
}

/** The content of a stored version; POLICY_UNAVAILABLE unless the bytes still have its hash. */
export async function readBundle(
  trx: Trx,
  workspaceId: string,
  { version, hash }: { version: number; hash: string },
): Promise<BundleContent> {
  const bytes = await findBundle(trx, workspaceId, version);
  if (bytes === undefined || sha256Digest(bytes) !== hash) {
    throw new PolicyEvaluationError('POLICY_UNAVAILABLE', 'the stored bundle does not have the hash of its version');
  }
  const { modules, data } = JSON.parse(bytes.toString('utf8'));
  return { modules, data };
}

function present(row: VersionSummaryRow, head: PolicyHead): Version {
  return {
    version: row.version,
    policySet: row.policy_set,
    hash: row.hash,
    state: row.hash === head.hash ? 'active' : row.hash === head.shadow?.hash ? 'shadow' : 'inactive',
    packages: row.packages,
    wasmSha256: row.wasm_sha256,
    compilerVersion: row.compiler_version,
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    ...(row.reason === null ? {} : { reason: row.reason }),
  };
}

function position(scope: CursorScope, cursor: string): number {
  const [version] = decodeCursor(scope, cursor);
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 0) {
    throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
  }
  return version;
}
