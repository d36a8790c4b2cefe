import { sql } from 'kysely';

import type { Trx } from '../storage/database.ts';

/** A version with the event that vouches for it, all as of one snapshot. */
export interface BoundVersionRow {
  version: number;
  policy_set: string;
  hash: string;
  wasm_sha256: string;
  compiler_version: string;
  /** Computed by the server from the stored bytes, which are not sent. */
  bundle_digest: string;
  wasm_digest: string;
  /** True when the head says that this is the active version. */
  active: boolean;
  seq: string | number | null;
  event_hash: string | null;
  body: Buffer | null;
  signature: string | null;
  signer_id: string | null;
  /** Its place in a batch; null: it was signed by itself. */
  batch_index: number | null;
  batch_size: number | null;
  batch_path: Buffer | null;
  /** The newest event that moved the head. */
  newest_seq: string | number | null;
}

/**
 * The stored version and its event in one statement, so that a reload in between cannot mix two states. The event is
 * the one the head names for the active version and for the candidate, else the newest that names the hash.
 */
export async function findBoundVersion(
  trx: Trx,
  workspaceId: string,
  hash: string,
): Promise<BoundVersionRow | undefined> {
  const { rows } = await sql<BoundVersionRow>`
    SELECT v.version, v.policy_set, v.hash, v.wasm_sha256, v.compiler_version,
      'sha256:' || encode(pg_catalog.sha256(v.bundle), 'hex') AS bundle_digest,
      'sha256:' || encode(pg_catalog.sha256(v.wasm), 'hex') AS wasm_digest,
      h.hash = v.hash AS active,
      e.seq, e.hash AS event_hash, e.body, e.signature, e.signer_id, e.batch_index, e.batch_size, e.batch_path,
      GREATEST(
        (SELECT max(seq) FROM audit_events WHERE chain = ${workspaceId} AND event_type = 'policy.activated'),
        (SELECT max(seq) FROM audit_events WHERE chain = ${workspaceId} AND event_type = 'policy.rolledback')
      ) AS newest_seq
    FROM policy_versions v
    JOIN policy_heads h ON h.workspace_id = v.workspace_id
    LEFT JOIN audit_events e ON e.chain = v.workspace_id AND e.seq = CASE
      WHEN h.hash = v.hash THEN h.activation_seq
      WHEN h.shadow_hash = v.hash THEN h.shadow_seq
      ELSE (
        SELECT max(seq) FROM audit_events
        WHERE chain = ${workspaceId} AND event_type IN ('policy.activated', 'policy.rolledback', 'policy.shadowed')
          AND payload ->> 'policyHash' = ${hash}
      ) END
    WHERE v.workspace_id = ${workspaceId} AND v.hash = ${hash}`.execute(trx);
  return rows[0];
}

/** What a version is loaded from. */
export async function findVersionBytes(
  trx: Trx,
  workspaceId: string,
  hash: string,
): Promise<{ bundle: Buffer; wasm: Buffer } | undefined> {
  return trx
    .selectFrom('policy_versions')
    .select(['bundle', 'wasm'])
    .where('workspace_id', '=', workspaceId)
    .where('hash', '=', hash)
    .executeTakeFirst();
}
