import { sql } from 'kysely';

import type { PolicyAnswers, PolicyPackageName } from '../../src/admission/policy-question.ts';
import { type AdmissionService, createAdmissionService } from '../../src/admission/service.ts';
import type { AdmissionSubject } from '../../src/admission/subject.ts';
import type { Caller } from '../../src/agents/caller.ts';
import { found } from '../../src/agents/lookup.ts';
import { agentView } from '../../src/agents/representation.ts';
import { createAgentService } from '../../src/agents/service.ts';
import { createStartAgent } from '../../src/agents/start.ts';
import { createAgentBrakes } from '../../src/agents/stop.ts';
import { findAgent } from '../../src/agents/store.ts';
import type { UnitScope } from '../../src/audit/append.ts';
import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';
import { type Signer, SignerError } from '../../src/crypto/signer.ts';
import { verificationKey } from '../../src/crypto/verify.ts';
import { readHead } from '../../src/policy/head.ts';
import { bumpRevision } from '../../src/policy/store.ts';
import { createDecisions } from '../../src/promotion/decide.ts';
import type { ProofIssuer } from '../../src/promotion/issue.ts';
import { createPromote } from '../../src/promotion/promote.ts';
import { createRecheck } from '../../src/promotion/recheck.ts';
import { createRelease } from '../../src/promotion/release.ts';
import { createVerifyProof } from '../../src/promotion/verify-proof.ts';
import { needsRenewal, renewProof } from '../../src/revalidation/renew.ts';
import { createRuntimeRegistry } from '../../src/runtime/registry.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { createSignerRegistry } from '../../src/signers/service.ts';
import { createSigners } from '../../src/signers/signers.ts';
import type { KeyedSigner } from '../../src/signers/verified-signer.ts';
import type { Trx } from '../../src/storage/database.ts';
import { createWorkspaceSettings } from '../../src/workspace-settings/service.ts';
import { createWorkspaceService } from '../../src/workspaces/service.ts';
import { manifestsWithoutSigners } from '../manifests/without-signers.ts';
import { type TestDatabase, testDatabase, testStorage } from '../support/database.ts';

export const WORKSPACE = 'demo';
export const DAY = 86_400_000;
export const POLICIES = { first: sha256Digest('first'), second: sha256Digest('second') } as const;
export const ADMIN: Caller = { id: 'ada', kind: 'human', roles: ['kernel-admin'], traceId: 'a'.repeat(32) };
export const OPERATOR: Caller = { id: 'olga', kind: 'human', roles: ['operator'], traceId: 'b'.repeat(32) };
export const SPEC = { name: 'reader', capabilities: ['search'], containment: { externalCalls: false } };

type Answer = Awaited<ReturnType<PolicyAnswers['evaluate']>>;

/** What a policy of this test answers: a set of denials, no such package, or a failure. */
interface PolicyControl {
  /** By policy hash, or `*`. */
  readonly answers: Map<string, (policyPackage: PolicyPackageName, input: unknown) => Answer | Promise<Answer>>;
  readonly asked: { hash: string; policyPackage: PolicyPackageName; input: unknown }[];
  prepare: PolicyAnswers['prepare'];
  isPrepared: () => boolean;
}

export interface Teardown {
  teardown(clean: () => unknown): void;
}

export type Governance = Awaited<ReturnType<typeof governance>>;

/** Admission, promotion and signers over a database of the test's own, with a workspace and two sandbox-able agents. */
export async function governance(t: Teardown) {
  const database = await testDatabase(t);
  const storage = testStorage(t, database);
  const time = { now: Date.now() };
  const clock = () => time.now;
  const switches = { auditDown: false, proofDown: false };
  const auditDriver = driver('audit-1', () => switches.auditDown);
  const proofDriver = driver('proof-1', () => switches.proofDown);
  const signers = createSigners({ storage, auditDriver, proofDriver, clock });
  const audit = appender(t, storage, signers.audit, clock);
  await signers.ensureRegistered(audit);

  const policyControl: PolicyControl = {
    answers: new Map(),
    asked: [],
    prepare: async () => undefined,
    isPrepared: () => true,
  };
  const policy = controlledPolicy(policyControl);
  const failures: { check: string; error: unknown }[] = [];
  const admission = createAdmissionService({
    storage,
    policy,
    keyOf: signers.keyOf,
    clock,
    onFailure: (check, error) => void failures.push({ check, error }),
  });
  const between: { phases: () => Promise<unknown>; signed: () => Promise<unknown> } = {
    phases: async () => undefined,
    signed: async () => undefined,
  };
  const watched = betweenPhases(admission, () => between.phases());
  const runtimes = createRuntimeRegistry();
  const log = { info: () => undefined };
  const metrics: string[] = [];
  const observe = {
    attempted: () => void metrics.push('attempted'),
    allowed: () => void metrics.push('allowed'),
    denied: (code: string) => void metrics.push(code),
  };
  const signer: Signer = {
    ...signers.proof,
    sign: async (data, signal) => {
      const signature = await signers.proof.sign(data, signal);
      await between.signed();
      return signature;
    },
  };
  const issuer: ProofIssuer = { signer, key: signers.proofKey, ttlMs: 90 * DAY, clock };
  const { requireProofSigner } = signers;
  const recheck = createRecheck(watched);
  const heads = { head: readHead, bumpRevision };
  const workspaces = createWorkspaceService({ storage, audit, policy: { activateDefault } });
  for (const workspaceId of [WORKSPACE, 'other']) await workspaces.create({ workspaceId }, ADMIN);
  const workspaceSettings = createWorkspaceSettings({ storage, audit });
  const settings = workspaceSettings.read;
  const viewAgent = async (trx: Trx, workspaceId: string, agentId: string) =>
    agentView(found(await findAgent(trx, workspaceId, agentId)));
  const promotion = {
    storage,
    audit,
    admission: watched,
    runtimes,
    settings,
    issuer,
    requireProofSigner,
    viewAgent,
    observe,
    log,
    clock,
  };
  const manifests = manifestsWithoutSigners({ storage, audit, clock });
  const agents = createAgentService({
    storage,
    audit,
    policy: heads,
    runtimes,
    manifests,
    workspaces: workspaceSettings,
  });

  return {
    database,
    storage,
    time,
    switches,
    signers,
    audit,
    admission,
    agents,
    failures,
    metrics,
    between,
    policy: policyControl,
    policyAnswers: policy,
    recheck,
    auditDriver,
    proofDriver,
    registry: createSignerRegistry({ storage, audit }),
    brakes: createAgentBrakes({ audit, runtimes }),
    start: createStartAgent({ audit, admission: watched, runtimes, observe, log }),
    workspaceSettings,
    promote: createPromote(promotion),
    decisions: createDecisions(promotion),
    release: createRelease({
      storage,
      audit,
      admission: watched,
      policy: heads,
      settings,
      recheck,
      renewal: { needed: needsRenewal, renew: (subject, old, head) => renewProof(issuer, subject, old, head) },
      requireProofSigner,
      log,
    }),
    verifyProof: createVerifyProof({ storage, head: readHead, findSigner: signers.find, clock }),
    sandboxAgent: async (spec: unknown = SPEC, ttlSeconds = 3600): Promise<string> =>
      (await agents.create(WORKSPACE, { spec, ttlSeconds }, OPERATOR)).agent.id,
    subject: async (agentId: string): Promise<AdmissionSubject> => {
      const subject = await admission.load(WORKSPACE, agentId, ADMIN);
      if (subject === undefined) throw new Error('no such agent');
      return subject;
    },
    /** Makes another policy the active one, as an activation leaves the head. */
    activate: (hash: string) =>
      database.query(
        `WITH v AS (INSERT INTO policy_versions (workspace_id, version, policy_set, hash, bundle, wasm, wasm_sha256,
           compiler_version, packages, created_at, created_by) VALUES ($1, 2, 'default', $2, '', '', $2, '1', '{}', now(), 'x'))
         UPDATE policy_heads SET version = 2, hash = $2, revision = revision + 1 WHERE workspace_id = $1`,
        [WORKSPACE, hash],
      ),
    events: async (types: readonly string[] = [], chain = WORKSPACE) => {
      const { rows } = await database.query(
        `SELECT event_type, payload, seq, sign_mode FROM audit_events
         WHERE chain = $1 AND (cardinality($2::text[]) = 0 OR event_type = ANY($2)) ORDER BY seq`,
        [chain, types],
      );
      return rows;
    },
    row: async (text: string, values: unknown[] = []): Promise<Record<string, unknown>> => {
      const { rows } = await database.query(text, values);
      const [first] = rows;
      if (first === undefined) throw new Error('no row');
      return first;
    },
  };
}

/** A governed agent with a real proof under the active policy. */
export async function governedAgent(world: Governance, spec: unknown = SPEC): Promise<string> {
  const agentId = await world.sandboxAgent(spec);
  const result = await world.promote(WORKSPACE, agentId, {}, ADMIN);
  if (!('proof' in result)) throw new Error(`not promoted: ${JSON.stringify(result)}`);
  return agentId;
}

export function denial(...codes: string[]) {
  return () => ({ deny: codes.map((code) => ({ code, reason: `because of ${code}` })) });
}

/** Edits rows as somebody with SQL would: past every grant and trigger of the service. */
export async function tamper(database: TestDatabase, text: string, values: unknown[]): Promise<void> {
  const { rowCount } = await database.query(text, values);
  if (rowCount === 0) throw new Error(`nothing was edited: ${text}`);
}

function driver(signerId: string, isDown: () => boolean): KeyedSigner {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const local = createLocalSigner({ signerId, privateKeyPem });
  const signer: Signer = {
    ...local,
    sign: (data, signal) =>
      isDown() ? Promise.reject(new SignerError('switched off by the test')) : local.sign(data, signal),
  };
  return { signer, key: verificationKey('Ed25519', publicKeyPem) };
}

export function appender(
  t: Teardown,
  storage: Parameters<typeof createAuditAppender>[0]['storage'],
  signer: Signer,
  clock: () => number,
): AuditAppender {
  const nothing = () => undefined;
  const observe = { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing };
  const audit = createAuditAppender({ storage, signer, clock, transactions: 2, observe });
  t.teardown(() => audit.close());
  return audit;
}

function controlledPolicy(control: PolicyControl): PolicyAnswers {
  return {
    prepare: (...policy) => control.prepare(...policy),
    isPrepared: () => control.isPrepared(),
    evaluate: async (_workspaceId, hash, policyPackage, input) => {
      const { answers, asked } = control;
      asked.push({ hash, policyPackage, input });
      const answer = answers.get(hash) ?? answers.get('*');
      if (answer !== undefined) return answer(policyPackage, input);
      return policyPackage === 'castellan.promotion' ? { deny: [] } : undefined;
    },
  };
}

/** Runs `then` after phase one has decided and before phase two locks. */
function betweenPhases(admission: AdmissionService, then: () => Promise<unknown>): AdmissionService {
  return {
    ...admission,
    evaluate: async (subject) => {
      const result = await admission.evaluate(subject);
      await then();
      return result;
    },
    judge: async (...args) => {
      const result = await admission.judge(...args);
      await then();
      return result;
    },
  };
}

/** Rows of an active policy without its bytes: what a policy answers is the test's to say. */
async function activateDefault({ trx, now }: UnitScope, workspaceId: string, actor: { id: string }): Promise<void> {
  const nothing = Buffer.from('{}');
  const at = new Date(now);
  await sql`
    INSERT INTO policy_versions (workspace_id, version, policy_set, hash, bundle, wasm, wasm_sha256, compiler_version,
      packages, created_at, created_by)
    VALUES (${workspaceId}, 1, 'default', ${POLICIES.first}, ${nothing}, ${nothing}, ${POLICIES.first}, '1', '{}', ${at},
      ${actor.id})`.execute(trx);
  await sql`
    INSERT INTO policy_heads (workspace_id, policy_set, version, hash, activation_seq, activated_at, activated_by, revision)
    VALUES (${workspaceId}, 'default', 1, ${POLICIES.first}, 1, ${at}, ${actor.id}, 1)`.execute(trx);
}
