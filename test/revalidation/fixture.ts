import { sql } from 'kysely';
import type { PolicyAnswers } from '../../src/admission/policy-question.ts';
import { type AdmissionService, createAdmissionService } from '../../src/admission/service.ts';
import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../../src/crypto/digest.ts';
import { type Signer, SignerError } from '../../src/crypto/signer.ts';
import { type VerificationKey, verificationKey } from '../../src/crypto/verify.ts';
import { newId } from '../../src/ids.ts';
import { readHead } from '../../src/policy/head.ts';
import { activate, bumpRevision } from '../../src/policy/store.ts';
import { createRecheck } from '../../src/promotion/recheck.ts';
import { issueProof } from '../../src/proofs/build.ts';
import { buildStatement } from '../../src/proofs/statement.ts';
import { needsRenewal, renewProof } from '../../src/revalidation/renew.ts';
import type { RevalidationOptions } from '../../src/revalidation/service.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { createKeyOf } from '../../src/signers/keys.ts';
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
  /** The real admission over a policy that denies agents with that one capability. */
  admissionFor(forbidden: string): AdmissionService;
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
    work: async ({ trx, append }) => {
      await sql`INSERT INTO workspaces (id, display_name, created_at, created_by)
        VALUES (${WORKSPACE}, 'Demo', now(), 'test')`.execute(trx);
      append({
        type: 'workspace.created',
        actor: { id: 'test', kind: 'service' },
        payload: { workspaceId: WORKSPACE, displayName: 'Demo' },
      });
    },
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

  const admissionFor = (forbidden: string) =>
    createAdmissionService({
      storage,
      policy: policyForbidding(forbidden),
      keyOf: createKeyOf(new Map()),
      clock: () => now.ms,
      onFailure: (check, error) => {
        throw new Error(check, { cause: error });
      },
    });
  const admission = admissionFor('shell');
  const issuer = { signer: proofSigner, key: async () => proofKey, ttlMs: 90 * DAY, clock: () => now.ms };
  function options(overrides: Partial<RevalidationOptions> = {}): RevalidationOptions {
    return {
      storage,
      audit,
      head: readHead,
      bumpRevision,
      loadMany: (trx, workspaceId, ids) =>
        admission.loadMany(trx, workspaceId, ids, { id: 'castellan', kind: 'system', roles: [] }),
      fingerprints: admission.fingerprints,
      recheck: createRecheck(admission),
      needsRenewal,
      renew: (subject, statement, head) => renewProof(issuer, subject, statement, head),
      requireSigner: async () => undefined,
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

  return {
    database,
    storage,
    audit,
    auditSigner,
    proofSigner,
    proofKey,
    now,
    agents,
    activatePolicy,
    options,
    events,
    admissionFor,
  };
}

const nothing = () => undefined;

interface AgentOptions {
  policyHash?: Digest;
  capability?: string;
  issuedAt?: number;
}

/** Stands in for the evaluation of Rego, which is not under test here. */
function policyForbidding(capability: string): PolicyAnswers {
  return {
    evaluate: async (_workspaceId, _hash, _package, input) =>
      JSON.stringify(input).includes(`"capabilities":["${capability}"]`)
        ? { deny: [{ code: 'INVALID_CAPABILITIES', reason: 'not allowed' }] }
        : { deny: [] },
  };
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
