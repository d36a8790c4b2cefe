import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
import { verificationKey } from '../../src/crypto/verify.ts';
import {
  type ActivationOptions,
  type ActivationService,
  createActivationService,
} from '../../src/policy/activation.ts';
import type { PolicyEngine } from '../../src/policy/evaluator/engine.ts';
import { type NewPolicy, pointHead, storeVersion } from '../../src/policy/head-change.ts';
import { createPolicyLoader, type PolicyLoader } from '../../src/policy/loader.ts';
import { createPolicyService, type PolicyService } from '../../src/policy/service.ts';
import { createSnapshotReader, type SnapshotReader } from '../../src/policy/snapshot.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { createSigners } from '../../src/signers/signers.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type TestDatabase, testDatabase, testStorage } from '../support/database.ts';
import { policyParts } from './parts.ts';

export const WORKSPACE = 'demo';
export const CALLER = { actor: { id: 'admin', kind: 'human' as const }, traceId: 'a'.repeat(32) };

const nothing = () => undefined;

interface Teardown {
  teardown(clean: () => unknown): void;
}

/** One replica: its own connections, engine and loader over the database of the world. */
export interface Replica {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  /** The real one; a test may put something in front of a member. */
  readonly engine: { -readonly [Member in keyof PolicyEngine]: PolicyEngine[Member] };
  readonly loader: PolicyLoader;
  readonly policy: PolicyService;
  readonly snapshots: SnapshotReader;
  activation(overrides?: Partial<ActivationOptions>): ActivationService;
}

export interface World {
  readonly database: TestDatabase;
  readonly shipped: NewPolicy;
  readonly signers: { revoked: string[]; revision: number };
  replica(limits?: { loadLimitMs: number }): Promise<Replica>;
  /** Another workspace under the same policy, with an activation event of its own. */
  workspace(workspaceId: string): Promise<void>;
  events(type: string): Promise<{ seq: number; payload: Record<string, unknown> }[]>;
}

/** Rego that denies with `code` unless the actor is an administrator; another code is another policy. */
export function modules(code = 'PERMISSION_DENIED'): Record<string, string> {
  return {
    'promotion.rego': `package castellan.promotion

deny contains {"code": "${code}", "reason": "no"} if {
	not "kernel-admin" in input.actor.roles
}
`,
  };
}

export function reload(code: string, more: Partial<Parameters<ActivationService['hotReload']>[1]> = {}) {
  const bundle = { modules: modules(code), data: {} };
  return {
    policySet: 'default',
    bundle,
    mode: 'enforce' as const,
    revalidate: false,
    expectedHash: undefined,
    reason: undefined,
    ...more,
  };
}

/** A workspace under a policy that the real OPA compiled, with a signed chain, in a database of its own. */
export async function world(t: Teardown): Promise<World> {
  const database = await testDatabase(t);
  const keys = generateEd25519();
  const key = verificationKey('Ed25519', keys.publicKeyPem);
  await database.query(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, created_at, created_by, updated_at)
     VALUES ('audit-1', 'Ed25519', $1, 'audit', 'active', now(), 'test', now())`,
    [keys.publicKeyPem],
  );
  const driver = { signer: createLocalSigner({ signerId: 'audit-1', privateKeyPem: keys.privateKeyPem }), key };
  const signers = { revoked: [] as string[], revision: 1 };
  const { parse, compile } = await policyParts(t);
  const bundle = await parse('default', { modules: modules(), data: {} });
  const shipped = { bundle, compiled: await compile(bundle) };

  async function replica(limits: { loadLimitMs?: number } = {}): Promise<Replica> {
    const storage = testStorage(t, database);
    const audit = createAuditAppender({
      storage,
      signer: driver.signer,
      clock: Date.now,
      transactions: 2,
      observe: { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing },
    });
    t.teardown(() => audit.close());
    const engine = { ...(await policyParts(t)).engine };
    const registry = createSigners({ storage, auditDriver: driver, proofDriver: driver, clock: Date.now });
    const loader = createPolicyLoader({ storage, engine, findAuditKey: registry.findAuditKey, ...limits });
    const policy = createPolicyService({ engine, loader, shipped, observe: { decided: nothing }, ...limits });
    const snapshots = createSnapshotReader({ storage, findRevocations: async () => signers });
    const activation = (overrides: Partial<ActivationOptions> = {}) =>
      createActivationService({
        storage,
        audit,
        loader,
        parse,
        compile,
        tryLoad: (hash, { wasm }) => engine.load(hash, wasm),
        revalidation: {
          begin: () => Promise.reject(new Error('no revalidation is asked for here')),
          follow: () => Promise.reject(new Error('no revalidation is asked for here')),
        },
        observe: { reloaded: nothing, reloadFailed: nothing, activated: nothing },
        waitMs: 1000,
        ...overrides,
      });
    return { storage, audit, engine, loader, policy, snapshots, activation };
  }

  const first = await replica();
  async function workspace(workspaceId: string): Promise<void> {
    await first.audit.commit({
      chain: workspaceId,
      creates: true,
      work: async (scope) => {
        const payload = { workspaceId, displayName: 'Demo' };
        scope.append({ type: 'workspace.created', actor: CALLER.actor, payload });
        const version = await storeVersion(scope, workspaceId, shipped, undefined, CALLER);
        const activation = { head: undefined, version, reason: undefined, caller: CALLER };
        await pointHead(scope, workspaceId, { type: 'policy.activated', ...activation });
      },
    });
  }
  await workspace(WORKSPACE);

  async function events(type: string) {
    const { rows } = await database.query(
      'SELECT seq, payload FROM audit_events WHERE chain = $1 AND event_type = $2 ORDER BY seq',
      [WORKSPACE, type],
    );
    return rows;
  }
  return { database, shipped, signers, replica, workspace, events };
}
