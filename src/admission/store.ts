import { sql } from 'kysely';
import { lookupBy } from '../audit/append.ts';
import type { SignatureAlgorithm } from '../crypto/signer.ts';
import type { Trx } from '../storage/database.ts';
import { createKeyedRead, type KeyedRead, type KeyedRow } from '../storage/keyed-read.ts';
import type { Storage } from '../storage/storage.ts';
import type { Denial } from './check.ts';
import type { AdmissionSubject, ProofSigner } from './subject.ts';

/** One agent with every row that a decision about it rests on: what migrations/0008-hot-paths.ts returns. */
export type SubjectRow = {
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
  activation_seq: number | null;
  shadow_hash: string | null;
  workspace_state: AdmissionSubject['workspaceState'];
  kill_switch: AdmissionSubject['killSwitch'];
  fingerprint: string;
};

export type FingerprintRow = {
  id: string;
  fingerprint: string;
  policy_hash: string;
};

/** The agents in one statement, that is: all rows as of one moment. One that does not exist is left out. */
export async function findSubjects(trx: Trx, workspaceId: string, ids: readonly string[]): Promise<SubjectRow[]> {
  const { rows } = await sql<SubjectRow>`
    SELECT * FROM agents_admission_subjects(${[workspaceId]}::text[], ${[ids.length]}::integer[], ${[...ids]}::uuid[])
  `.execute(trx);
  return rows;
}

/** As findSubjects, only what tells whether the rows were written since, and under which policy. */
export async function findFingerprints(
  trx: Trx,
  workspaceId: string,
  ids: readonly string[],
): Promise<FingerprintRow[]> {
  const { rows } = await sql<FingerprintRow>`
    SELECT * FROM agents_admission_fingerprints(${[workspaceId]}::text[], ${[ids.length]}::integer[],
      ${[...ids]}::uuid[])`.execute(trx);
  return rows;
}

/** A statement over several agents; `id` is its digest. What migrations/0015-shared-statements.ts returns. */
export type StatementRow = KeyedRow & { readonly envelope: unknown };

export async function findStatements(
  trx: Trx,
  workspaceId: string,
  digests: readonly string[],
): Promise<StatementRow[]> {
  const { rows } = await sql<StatementRow>`
    SELECT * FROM proof_statements_by_digest(${[workspaceId]}::text[], ${[digests.length]}::integer[],
      ${[...digests]}::text[])`.execute(trx);
  return rows;
}

/** The statements that requests ask for at the same time, in one statement of SQL. */
export function statementRead(storage: Pick<Storage, 'call'>): KeyedRead<StatementRow> {
  return createKeyedRead<StatementRow>(storage, 'proof_statements_by_digest');
}

/** The agents that requests ask for at the same time, in one statement. */
export function subjectRead(storage: Storage): KeyedRead<SubjectRow & KeyedRow> {
  return createKeyedRead<SubjectRow & KeyedRow>(storage, 'agents_admission_subjects');
}

/** Fingerprints of the agents whose units share a transaction. */
export const fingerprintLookup = lookupBy<FingerprintRow & KeyedRow>('agents_admission_fingerprints');
