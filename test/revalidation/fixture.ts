import { type AdmissionService, createAdmissionService } from '../../src/admission/service.ts';
import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { type Digest, isDigest, sha256Digest } from '../../src/crypto/digest.ts';
import { type Signer, SignerError } from '../../src/crypto/signer.ts';
import { type VerificationKey, verificationKey } from '../../src/crypto/verify.ts';
import { newId } from '../../src/ids.ts';
import { createActivationService } from '../../src/policy/activation.ts';
import type { PolicyEngine } from '../../src/policy/evaluator/engine.ts';
import { readHead } from '../../src/policy/head.ts';
import { createPolicyLoader } from '../../src/policy/loader.ts';
import { createPolicyService } from '../../src/policy/service.ts';
import { bumpRevision } from '../../src/policy/store.ts';
import { createRecheck } from '../../src/promotion/recheck.ts';
import { issueProof } from '../../src/proofs/build.ts';
import { buildStatement } from '../../src/proofs/statement.ts';
import { needsRenewal } from '../../src/revalidation/renew.ts';
import { renewMany } from '../../src/revalidation/renew-many.ts';
import type { RevalidationOptions } from '../../src/revalidation/service.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { createSigners } from '../../src/signers/signers.ts';
import type { KeyedSigner } from '../../src/signers/verified-signer.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { createWorkspaceService } from '../../src/workspaces/service.ts';
import { policyParts } from '../policy-service/parts.ts';
import { type TestDatabase, testDatabase, testStorage } from '../support/database.ts';

export const WORKSPACE = 'demo';
export const DAY = 86_400_000;
const ADMIN = { id: 'admin', kind: 'human', traceId: '0'.repeat(32) } as const;

/** The first three let everything pass but `shell`; the last two let pass and fail whatever asks for `shell`. */
const POLICIES = {
  first: rule('# first', 'capability == "shell"'),
  second: rule('# second', 'capability == "shell"'),
  third: rule('# third', 'capability == "shell"'),
  lenient: rule('# lenient', 'capability == "nothing"'),
  // Two values for one complete rule: an evaluation error, and only for agents that have the capability.
  failing: `${rule('# failing', 'capability == verdict')}
verdict := "x" if "search" in input.agent.spec.capabilities

verdict := n if {
	"shell" in input.agent.spec.capabilities
	some n in ["y", "z"]
}
`,
} as const;

export type PolicyName = keyof typeof POLICIES;

export interface World {
  readonly database: TestDatabase;
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly admission: AdmissionService;
  /** What keeps the named one from working, when it is set. */
  readonly trouble: { auditSigner: boolean; proofSigner: Error | undefined; engine: Error | undefined };
  readonly now: { ms: number };
  /** Adds governed agents with real proofs for the first policy; ids ascending. */
  agents(count: number, options?: { capability?: string; issuedAt?: number }): Promise<string[]>;
  /** Makes it the active policy, revalidating nothing, and answers its hash. */
  activatePolicy(name: PolicyName): Promise<string>;
  options(overrides?: Partial<RevalidationOptions>): RevalidationOptions;
  events(type: string): Promise<{ seq: number; payload: Record<string, unknown>; sign_mode: string }[]>;
  /** Agents whose proofs were renewed, by the events, alone or together, in their order. */
  renewed(): Promise<string[]>;
}

interface Teardown {
  teardown(clean: () => unknown): void;
}

/** A workspace under a compiled policy, with its audit chain, two signers and a clock of its own, in its own database. */
export async function world(t: Teardown, limits: { proofSignerMaxBytes?: number } = {}): Promise<World> {
  const database = await testDatabase(t);
  const storage = testStorage(t, database);
  const now = { ms: Date.now() };
  const clock = () => now.ms;
  const trouble: World['trouble'] = { auditSigner: false, proofSigner: undefined, engine: undefined };
  const signers = createSigners({
    storage,
    auditDriver: driver('audit-1', () => (trouble.auditSigner ? new SignerError('the key is disabled') : undefined)),
    proofDriver: driver('proof-1', () => trouble.proofSigner, limits.proofSignerMaxBytes),
    clock,
  });
  const observe = { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing };
  const audit = createAuditAppender({ storage, signer: signers.audit, clock, transactions: 2, observe });
  t.teardown(() => audit.close());
  await signers.ensureRegistered(audit);

  const { parse, compile, engine: real } = await policyParts(t);
  const engine = troubled(real, () => trouble.engine);
  const loader = createPolicyLoader({ storage, engine, findAuditKey: signers.findAuditKey });
  const first = await parse('default', content('first'));
  const shipped = { bundle: first, compiled: await compile(first) };
  const policy = createPolicyService({ engine, loader, shipped, observe: { decided: nothing } });
  await createWorkspaceService({ storage, audit, policy }).create({ workspaceId: WORKSPACE }, ADMIN);
  const none = () => Promise.reject(new Error('no revalidation is asked for here'));
  const activation = createActivationService({
    storage,
    audit,
    loader,
    parse,
    compile,
    tryLoad: (hash, { wasm }) => engine.load(hash, wasm),
    revalidation: { begin: none, follow: none },
    observe: { reloaded: nothing, reloadFailed: nothing, activated: nothing },
    waitMs: 1000,
  });

  async function activatePolicy(name: PolicyName): Promise<string> {
    const request = { policySet: 'default', bundle: content(name), mode: 'enforce', revalidate: false } as const;
    const caller = { actor: { id: ADMIN.id, kind: ADMIN.kind } };
    return (await activation.hotReload(WORKSPACE, { ...request, expectedHash: undefined, reason: undefined }, caller))
      .newHash;
  }

  async function agents(
    count: number,
    { capability = 'search', issuedAt = now.ms }: { capability?: string; issuedAt?: number } = {},
  ): Promise<string[]> {
    const key = await signers.proofKey();
    const proved = await Promise.all(Array.from({ length: count }, (_, n) => newAgent(n, capability, issuedAt, key)));
    const rows = `jsonb_to_recordset($1) AS r(id uuid, spec jsonb, bytes text, spec_hash text, proof_id uuid,
      envelope jsonb, policy_hash text, promotion_id uuid, issued_at timestamptz, expires_at timestamptz)`;
    await database.query(
      `WITH spec AS (
         INSERT INTO agent_specs SELECT '${WORKSPACE}', id, 1, spec, decode(bytes, 'base64'), spec_hash, now(), 'test' FROM ${rows}
       ), proof AS (
         INSERT INTO agent_proofs SELECT '${WORKSPACE}', proof_id, id, envelope, 1, spec_hash, policy_hash, 'proof-1',
           promotion_id, NULL, issued_at, expires_at FROM ${rows}
       )
       INSERT INTO agents (workspace_id, id, name, name_folded, mode, status, spec_version, spec_hash, capabilities,
         managed, since, proof_id, desired_replicas, ready_replicas, created_at, created_by, updated_at)
       SELECT '${WORKSPACE}', id, 'a', 'a', 'governed', 'running', 1, spec_hash, '{}', false, now(), proof_id, 1, 1,
         now(), 'test', now() FROM ${rows}`,
      [JSON.stringify(proved)],
    );
    return proved.map(({ id }) => id).sort();
  }

  async function newAgent(n: number, capability: string, issuedAt: number, key: VerificationKey) {
    const id = newId();
    const spec = { name: `agent ${n}`, capabilities: [capability] };
    const bytes = canonicalBytes(spec);
    const statement = buildStatement({
      workspaceId: WORKSPACE,
      agentId: id,
      specVersion: 1,
      specHash: sha256Digest(bytes),
      policySet: 'default',
      policyVersion: 1,
      policyHash: digest(first.hash),
      promotionId: newId(),
      promoter: { id: 'admin', roles: ['kernel-admin'] },
      approvals: [],
      issuedAt: new Date(issuedAt).toISOString(),
      expiresAt: new Date(issuedAt + 90 * DAY).toISOString(),
    });
    return {
      id,
      spec,
      bytes: bytes.toString('base64'),
      spec_hash: sha256Digest(bytes),
      proof_id: newId(),
      envelope: await issueProof(statement, signers.proof, key),
      policy_hash: first.hash,
      promotion_id: statement.predicate.promotionId,
      issued_at: statement.predicate.issuedAt,
      expires_at: statement.predicate.expiresAt,
    };
  }

  const onFailure = (check: string, error: unknown) => {
    throw new Error(check, { cause: error });
  };
  const admission = createAdmissionService({ storage, policy, keyOf: signers.keyOf, clock, onFailure });

  function options(overrides: Partial<RevalidationOptions> = {}): RevalidationOptions {
    const issuer = { signer: signers.proof, key: signers.proofKey, ttlMs: 90 * DAY, clock };
    return {
      storage,
      audit,
      head: readHead,
      bumpRevision,
      loadMany: (trx, workspaceId, ids) =>
        admission.loadMany(trx, workspaceId, ids, { id: 'castellan', kind: 'system', roles: [] }),
      fingerprints: admission.fingerprints,
      reapproves: async () => false,
      recheck: createRecheck(admission),
      needsRenewal,
      renew: (due, head, signal) => renewMany(issuer, due, head, signal),
      requireSigner: signers.requireProofSigner,
      observe: { invalidated: nothing },
      workerId: 'worker-1',
      clock,
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

  async function renewed() {
    const { rows } = await database.query(
      `SELECT agent FROM audit_events e, LATERAL (
         SELECT payload ->> 'agentId' AS agent, 0 AS n WHERE event_type = 'proof.renewed'
         UNION ALL SELECT one ->> 'agentId', n FROM jsonb_array_elements(payload -> 'agents') WITH ORDINALITY AS u(one, n)
           WHERE event_type = 'proof.mass.renewed'
       ) agents WHERE chain = $1 ORDER BY seq, n`,
      [WORKSPACE],
    );
    return rows.map(({ agent }) => agent);
  }

  return { database, storage, audit, admission, trouble, now, agents, activatePolicy, options, events, renewed };
}

const nothing = () => undefined;

function rule(comment: string, condition: string): string {
  return `${comment}
package castellan.promotion

deny contains {"code": "INVALID_CAPABILITIES", "reason": "not allowed"} if {
	some capability in input.agent.spec.capabilities
	${condition}
}
`;
}

function content(name: PolicyName) {
  return { modules: { 'promotion.rego': POLICIES[name] }, data: {} };
}

function driver(signerId: string, trouble: () => Error | undefined, maxBytes?: number): KeyedSigner {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const local = createLocalSigner({ signerId, privateKeyPem });
  const sign: Signer['sign'] = async (data, signal) => {
    const error = trouble();
    if (error !== undefined) throw error;
    if (maxBytes !== undefined && data.length > maxBytes) throw new SignerError(`${data.length} bytes are too many`);
    return local.sign(data, signal);
  };
  const limit = maxBytes === undefined ? {} : { maxBytes };
  return { signer: { ...local, ...limit, sign }, key: verificationKey('Ed25519', publicKeyPem) };
}

/** The engine, which can be made to fail as one does that is overloaded or has lost its workers. */
function troubled(engine: PolicyEngine, trouble: () => Error | undefined): PolicyEngine {
  return {
    ...engine,
    evaluate: (...question) => {
      const error = trouble();
      return error === undefined ? engine.evaluate(...question) : Promise.reject(error);
    },
  };
}

function digest(text: string): Digest {
  if (!isDigest(text)) throw new TypeError(`${text} is no digest`);
  return text;
}
