import { sql } from 'kysely';
import type { AdmissionSubject } from '../../src/admission/subject.ts';
import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../../src/crypto/digest.ts';
import { type Signer, SignerError } from '../../src/crypto/signer.ts';
import { type VerificationKey, verificationKey } from '../../src/crypto/verify.ts';
import { newId } from '../../src/ids.ts';
import { readHead } from '../../src/policy/head.ts';
import { activate, bumpRevision } from '../../src/policy/store.ts';
import { issueProof } from '../../src/proofs/build.ts';
import { buildStatement } from '../../src/proofs/statement.ts';
import { verifyProof } from '../../src/proofs/verify.ts';
import type { Recheck } from '../../src/revalidation/outcome.ts';
import { needsRenewal, renewProof } from '../../src/revalidation/renew.ts';
import type { RevalidationOptions } from '../../src/revalidation/service.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import type { Trx } from '../../src/storage/database.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type TestDatabase, testDatabase, testStorage } from '../support/database.ts';

export const WORKSPACE = 'demo';
export const DAY = 86_400_000;
export const POLICIES = {
  first: sha256Digest('first'),
  second: sha256Digest('second'),
  third: sha256Digest('third'),
} as const;

export interface World {
  readonly database: TestDatabase;
  readonly storage: Storage;
  readonly audit: AuditAppender;
  /** The appender whose signer can be switched off. */
  readonly auditSigner: { down: boolean };
  readonly proofSigner: Signer;
  readonly proofKey: VerificationKey;
  readonly now: { ms: number };
  /** Adds governed agents with real proofs for a policy; ids ascending. */
  agents(count: number, options?: { policyHash?: Digest; capability?: string; issuedAt?: number }): Promise<string[]>;
  activatePolicy(hash: Digest): Promise<void>;
  options(overrides?: Partial<RevalidationOptions>): RevalidationOptions;
  events(type: string): Promise<{ seq: number; payload: Record<string, unknown>; sign_mode: string }[]>;
}

interface Teardown {
  teardown(clean: () => unknown): void;
}

/** A workspace with a policy head, an audit chain, two signers and a clock of its own, in a database of its own. */
export async function world(t: Teardown): Promise<World> {
  const database = await testDatabase(t);
  const storage = testStorage(t, database);
  const now = { ms: Date.now() };
  const auditKeys = generateEd25519();
  const proofKeys = generateEd25519();
  const proofKey = verificationKey('Ed25519', proofKeys.publicKeyPem);
  const proofSigner = createLocalSigner({ signerId: 'proof-1', privateKeyPem: proofKeys.privateKeyPem });
  const auditSigner = { down: false };
  await registerSigner(database, 'audit-1', 'audit', auditKeys.publicKeyPem);
  await registerSigner(database, 'proof-1', 'proof', proofKeys.publicKeyPem);
  const local = createLocalSigner({ signerId: 'audit-1', privateKeyPem: auditKeys.privateKeyPem });
  const audit = createAuditAppender({
    storage,
    signer: switchable(local, auditSigner),
    clock: () => now.ms,
    transactions: 2,
    observe: { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing },
  });
  t.teardown(() => audit.close());

  async function activatePolicy(hash: Digest): Promise<void> {
    await database.query(
      `INSERT INTO policy_versions (workspace_id, version, policy_set, hash, bundle, wasm, wasm_sha256, compiler_version,
         packages, created_at, created_by)
       SELECT $1, coalesce(max(version), 0) + 1, 'default', $2, '', '', $2, 'test', '{}', now(), 'test'
       FROM policy_versions WHERE workspace_id = $1 ON CONFLICT DO NOTHING`,
      [WORKSPACE, hash],
    );
    const { rows } = await database.query('SELECT version FROM policy_versions WHERE hash = $1', [hash]);
    await audit.commit({
      chain: WORKSPACE,
      work: async ({ trx, append, now: at }) => {
        const { seq } = append({
          type: 'policy.rejected',
          actor: { id: 'test', kind: 'service' },
          payload: { policySet: 'default', code: 'STAND_IN', detail: 'the activation is not under test' },
        });
        const version = Number(rows[0].version);
        await activate(trx, WORKSPACE, { policySet: 'default', version, hash, seq, at: new Date(at), by: 'test' });
      },
    });
  }

  await audit.commit({
    chain: WORKSPACE,
    creates: true,
    work: async ({ append }) =>
      append({
        type: 'workspace.created',
        actor: { id: 'test', kind: 'service' },
        payload: { workspaceId: WORKSPACE, displayName: 'Demo' },
      }),
  });
  await activatePolicy(POLICIES.first);

  async function agents(
    count: number,
    { policyHash = POLICIES.first, capability = 'search', issuedAt = now.ms }: AgentOptions = {},
  ): Promise<string[]> {
    const ids: string[] = [];
    for (let n = 0; n < count; n += 1) {
      const id = newId();
      ids.push(id);
      const spec = { name: `agent ${n}`, capabilities: [capability] };
      const bytes = canonicalBytes(spec);
      const specHash = sha256Digest(bytes);
      const statement = buildStatement({
        workspaceId: WORKSPACE,
        agentId: id,
        specVersion: 1,
        specHash,
        policySet: 'default',
        policyVersion: 1,
        policyHash,
        promotionId: newId(),
        promoter: { id: 'admin', roles: ['kernel-admin'] },
        approvals: [],
        issuedAt: new Date(issuedAt).toISOString(),
        expiresAt: new Date(issuedAt + 90 * DAY).toISOString(),
      });
      const envelope = await issueProof(statement, proofSigner, proofKey);
      const proofId = newId();
      const { promotionId, issuedAt: issued, expiresAt } = statement.predicate;
      await database.query(
        `WITH spec AS (
           INSERT INTO agent_specs VALUES ($1, $2, 1, $3, $4, $5, now(), 'test')
         ), proof AS (
           INSERT INTO agent_proofs VALUES ($1, $6, $2, $7, 1, $5, $8, 'proof-1', $9, NULL, $10, $11)
         )
         INSERT INTO agents (workspace_id, id, name, name_folded, mode, status, spec_version, spec_hash, capabilities,
           managed, since, proof_id, desired_replicas, ready_replicas, created_at, created_by, updated_at)
         VALUES ($1, $2, 'a', 'a', 'governed', 'running', 1, $5, '{}', false, now(), $6, 1, 1, now(), 'test', now())`,
        [
          WORKSPACE,
          id,
          spec,
          bytes,
          specHash,
          proofId,
          JSON.stringify(envelope),
          policyHash,
          promotionId,
          issued,
          expiresAt,
        ],
      );
    }
    return ids.sort();
  }

  const issuer = { signer: proofSigner, key: async () => proofKey, ttlMs: 90 * DAY, clock: () => now.ms };
  function options(overrides: Partial<RevalidationOptions> = {}): RevalidationOptions {
    return {
      storage,
      audit,
      head: readHead,
      bumpRevision,
      loadMany: (trx, workspaceId, ids) => loadMany(trx, workspaceId, ids, now.ms),
      fingerprints,
      recheck: recheckWith(proofKey, new Set(['shell'])),
      needsRenewal,
      renew: (subject, statement, head) => renewProof(issuer, subject, statement, head),
      observe: { invalidated: nothing },
      workerId: 'worker-1',
      clock: () => now.ms,
      failed: (error) => {
        throw error;
      },
      ...overrides,
    };
  }

  async function events(type: string) {
    const { rows } = await database.query(
      'SELECT seq, payload, sign_mode FROM audit_events WHERE chain = $1 AND event_type = $2 ORDER BY seq',
      [WORKSPACE, type],
    );
    return rows;
  }

  return { database, storage, audit, auditSigner, proofSigner, proofKey, now, agents, activatePolicy, options, events };
}

const nothing = () => undefined;

interface AgentOptions {
  policyHash?: Digest;
  capability?: string;
  issuedAt?: number;
}

/** The proof must hold, and no capability may be forbidden. */
export function recheckWith(key: VerificationKey, forbidden: ReadonlySet<string>): Recheck {
  return async (subject) => {
    const verdict = verifyProof({
      envelope: subject.proof?.envelope,
      signer: () => ({ key, purpose: 'proof', state: 'active' }),
      now: subject.now,
      expected: { agentId: subject.agentId, workspaceId: subject.workspaceId },
    });
    if (!verdict.valid) return deny(verdict.reason, verdict.detail);
    const spec: unknown = subject.spec?.json;
    const listed = typeof spec === 'object' && spec !== null && 'capabilities' in spec ? spec.capabilities : [];
    const bad = Array.isArray(listed) && listed.some((capability) => forbidden.has(String(capability)));
    return bad ? deny('INVALID_CAPABILITIES', 'not allowed') : { outcome: 'valid', statement: verdict.statement };
  };
}

function deny(code: string, reason: string) {
  return { outcome: 'invalid' as const, denies: [{ code, reason, severity: 'DENY' as const, check: 'revalidation' }] };
}

async function registerSigner(database: TestDatabase, id: string, purpose: string, publicKey: string): Promise<void> {
  await database.query(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, created_at, created_by, updated_at)
     VALUES ($1, 'Ed25519', $2, $3, 'active', now(), 'test', now())`,
    [id, publicKey, purpose],
  );
}

function switchable(signer: Signer, state: { down: boolean }): Signer {
  return {
    ...signer,
    sign: (data, signal) =>
      state.down ? Promise.reject(new SignerError('the key is disabled')) : signer.sign(data, signal),
  };
}

async function loadMany(
  trx: Trx,
  workspaceId: string,
  ids: readonly string[],
  now: number,
): Promise<AdmissionSubject[]> {
  const prints = await fingerprints(trx, workspaceId, ids);
  const head = await readHead(trx, workspaceId);
  const { rows } = await sql<Row>`
    SELECT a.*, s.spec, s.spec_bytes, p.envelope, p.policy_hash, p.promotion_id, p.expires_at AS proof_expires_at
    FROM agents a
    JOIN agent_specs s ON s.workspace_id = a.workspace_id AND s.agent_id = a.id AND s.version = a.spec_version
    LEFT JOIN agent_proofs p ON p.workspace_id = a.workspace_id AND p.id = a.proof_id
    WHERE a.workspace_id = ${workspaceId} AND a.id = ANY(${[...ids]}::uuid[])`.execute(trx);
  return rows.map((row) => ({
    workspaceId,
    agentId: row.id,
    mode: row.mode,
    status: row.status,
    name: row.name,
    expiresAt: null,
    desiredReplicas: row.desired_replicas,
    specVersion: row.spec_version,
    specHash: row.spec_hash,
    spec: { json: row.spec, bytes: row.spec_bytes, hash: row.spec_hash },
    proof:
      row.proof_id === null
        ? null
        : {
            id: row.proof_id,
            envelope: row.envelope,
            specVersion: row.spec_version,
            specHash: row.spec_hash,
            policyHash: row.policy_hash,
            promotionId: row.promotion_id,
            expiresAt: row.proof_expires_at,
          },
    everProved: true,
    signer: null,
    policy: { policySet: head.policySet, version: head.version, hash: head.hash },
    shadowPolicyHash: null,
    invalidation: row.invalidation,
    quarantine: row.quarantine,
    workspaceState: 'active',
    rowVersion: row.version,
    fingerprint: prints.get(row.id) ?? '',
    actor: { id: 'castellan', kind: 'system', roles: [] },
    now,
  }));
}

interface Row {
  id: string;
  mode: 'sandbox' | 'governed';
  status: string;
  name: string;
  desired_replicas: number;
  spec_version: number;
  spec_hash: string;
  spec: unknown;
  spec_bytes: Buffer;
  proof_id: string | null;
  envelope: unknown;
  policy_hash: string;
  promotion_id: string;
  proof_expires_at: Date;
  invalidation: AdmissionSubject['invalidation'];
  quarantine: AdmissionSubject['quarantine'];
  version: number;
}

async function fingerprints(trx: Trx, workspaceId: string, ids: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; fingerprint: string }>`
    SELECT a.id, concat_ws('.', a.xmin, p.xmin) AS fingerprint FROM agents a
    LEFT JOIN agent_proofs p ON p.workspace_id = a.workspace_id AND p.id = a.proof_id
    WHERE a.workspace_id = ${workspaceId} AND a.id = ANY(${[...ids]}::uuid[])`.execute(trx);
  return new Map(rows.map((row) => [row.id, row.fingerprint]));
}
