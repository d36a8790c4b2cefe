import { type RawBuilder, sql } from 'kysely';

import type { SignatureAlgorithm } from '../crypto/signer.ts';
import type { Trx } from '../storage/database.ts';
import type { Denial } from './check.ts';
import type { AdmissionSubject, ProofSigner } from './subject.ts';

/** One agent with every row that a decision about it rests on. */
export interface SubjectRow {
  id: string;
  mode: AdmissionSubject['mode'];
  status: string;
  name: string;
  expires_at: Date | null;
  desired_replicas: number;
  spec_version: number;
  spec_hash: string;
  row_version: number;
  invalidation: { at: string; denies: readonly Denial[] } | null;
  quarantine: { at: string; by: string; reason: string } | null;
  spec_json: unknown;
  spec_bytes: Buffer | null;
  stored_spec_hash: string | null;
  proof_id: string | null;
  envelope: unknown;
  proof_spec_version: number | null;
  proof_spec_hash: string | null;
  proof_policy_hash: string | null;
  promotion_id: string | null;
  proof_expires_at: Date | null;
  ever_proved: boolean;
  signer_id: string | null;
  alg: SignatureAlgorithm | null;
  public_key: string | null;
  purpose: string | null;
  signer_state: ProofSigner['state'] | null;
  not_before: Date | null;
  not_after: Date | null;
  policy_set: string;
  policy_version: number;
  policy_hash: string;
  shadow_hash: string | null;
  workspace_state: AdmissionSubject['workspaceState'];
  fingerprint: string;
}

export interface FingerprintRow {
  id: string;
  fingerprint: string;
  policy_hash: string;
}

// The signer is the one the envelope names and the column too: where the two differ there is no signer.
const ROWS = sql`
  FROM agents a
  JOIN workspaces w ON w.id = a.workspace_id
  JOIN policy_heads h ON h.workspace_id = a.workspace_id
  LEFT JOIN agent_specs s ON s.workspace_id = a.workspace_id AND s.agent_id = a.id AND s.version = a.spec_version
  LEFT JOIN agent_proofs p ON p.workspace_id = a.workspace_id AND p.id = a.proof_id AND p.agent_id = a.id
  LEFT JOIN signers g ON g.signer_id = p.signer_id AND g.signer_id = p.envelope #>> '{signatures,0,keyid}'`;

const EVER_PROVED = sql`EXISTS (
  SELECT FROM agent_proofs e WHERE e.workspace_id = a.workspace_id AND e.agent_id = a.id)`;

// xmin names the transaction that wrote a row version, ctid its place: together they tell two writes of one
// transaction apart, and no writer, whatever it changes, can leave both as they were.
const FINGERPRINT = sql`concat_ws(' ', a.xmin, a.ctid, w.xmin, w.ctid, h.xmin, h.ctid,
  coalesce(s.xmin::text, '-'), coalesce(s.ctid::text, '-'), coalesce(p.xmin::text, '-'), coalesce(p.ctid::text, '-'),
  coalesce(g.xmin::text, '-'), coalesce(g.ctid::text, '-'), ${EVER_PROVED})`;

const COLUMNS = sql`a.id, a.mode, a.status, a.name, a.expires_at, a.desired_replicas, a.spec_version, a.spec_hash,
  a.version AS row_version, a.invalidation, a.quarantine,
  s.spec AS spec_json, s.spec_bytes, s.spec_hash AS stored_spec_hash,
  p.id AS proof_id, p.envelope, p.spec_version AS proof_spec_version, p.spec_hash AS proof_spec_hash,
  p.policy_hash AS proof_policy_hash, p.promotion_id, p.expires_at AS proof_expires_at,
  ${EVER_PROVED} AS ever_proved,
  g.signer_id, g.alg, g.public_key, g.purpose, g.state AS signer_state, g.not_before, g.not_after,
  h.policy_set, h.version AS policy_version, h.hash AS policy_hash, h.shadow_hash,
  w.state AS workspace_state, ${FINGERPRINT} AS fingerprint`;

/** The agents in one statement, that is: all rows as of one moment. One that does not exist is left out. */
export async function findSubjects(trx: Trx, workspaceId: string, ids: readonly string[]): Promise<SubjectRow[]> {
  return select<SubjectRow>(trx, COLUMNS, workspaceId, ids);
}

/** As findSubjects, only what has changed since and under which policy. */
export async function findFingerprints(
  trx: Trx,
  workspaceId: string,
  ids: readonly string[],
): Promise<FingerprintRow[]> {
  return select<FingerprintRow>(trx, sql`a.id, ${FINGERPRINT} AS fingerprint, h.hash AS policy_hash`, workspaceId, ids);
}

async function select<T>(
  trx: Trx,
  columns: RawBuilder<unknown>,
  workspaceId: string,
  ids: readonly string[],
): Promise<T[]> {
  const wanted = ids.length === 1 ? sql`a.id = ${ids[0]}::uuid` : sql`a.id = ANY(${[...ids]}::uuid[])`;
  const { rows } = await sql<T>`SELECT ${columns} ${ROWS}
    WHERE a.workspace_id = ${workspaceId} AND ${wanted} ORDER BY a.id`.execute(trx);
  return rows;
}
