import Fastify, { type FastifyInstance } from 'fastify';
import { sql } from 'kysely';

import { createRunBatch } from '../../src/agents/batch.ts';
import type { Caller } from '../../src/agents/caller.ts';
import { createExpireDue } from '../../src/agents/expiry.ts';
import { createAgentLists } from '../../src/agents/lists.ts';
import { agentRoutes } from '../../src/agents/routes.ts';
import { runRoutes } from '../../src/agents/run-routes.ts';
import { createAgentService } from '../../src/agents/service.ts';
import { createStartAgent } from '../../src/agents/start.ts';
import { createAgentBrakes } from '../../src/agents/stop.ts';
import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
import type { Signer } from '../../src/crypto/signer.ts';
import { SignerError } from '../../src/crypto/signer.ts';
import { jsonBodyPlugin } from '../../src/http/json-body.ts';
import { problemPlugin } from '../../src/http/problem.ts';
import { queryTypesPlugin } from '../../src/http/query-types.ts';
import { refusalsPlugin } from '../../src/http/refusals.ts';
import { requestContextPlugin } from '../../src/http/request-context.ts';
import { routeContractPlugin } from '../../src/http/route-contract.ts';
import { isPermission } from '../../src/identity/permissions.ts';
import { identityPlugin } from '../../src/identity/plugin.ts';
import type { Principal } from '../../src/identity/principal.ts';
import type { Role } from '../../src/roles.ts';
import { createRuntimeRegistry } from '../../src/runtime/registry.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { createWorkspaceSettings } from '../../src/workspace-settings/service.ts';
import { workspaceRoutes } from '../../src/workspaces/routes.ts';
import { createWorkspaceService } from '../../src/workspaces/service.ts';
import { manifestsWithoutSigners } from '../manifests/without-signers.ts';
import { type TestDatabase, testDatabase, testStorage } from '../support/database.ts';
import { type Control, rowAdmission } from './row-admission.ts';

export const CALLER: Caller = { id: 'olga', kind: 'human', roles: ['operator'], traceId: 'a'.repeat(32) };
export const POLICY_HASH = `sha256:${'1'.repeat(64)}`;
export const NOBODY = '01890000-0000-7000-8000-000000000000';

export interface Fixture extends ReturnType<typeof services> {
  readonly database: TestDatabase;
  readonly storage: Storage;
  readonly audit: AuditAppender;
  /** Ms since the epoch; the one clock of everything here. */
  readonly time: { now: number };
  readonly control: Control;
  readonly signer: { down: boolean };
  readonly logged: Record<string, unknown>[];
  readonly metrics: string[];
  /** Types and payloads of a workspace's events, in order. */
  events(workspaceId?: string): Promise<{ event_type: string; payload: Record<string, unknown>; sign_mode: string }[]>;
  /** The same slices with an appender of their own, as another process would have. */
  replica(): ReturnType<typeof services>;
  /** The API with these slices; `x-as: <role>[@workspace|*]` says who calls. */
  api(): Promise<FastifyInstance>;
}

/** The agents and workspaces slices over a database of the test's own, with the workspaces `demo` and `other`. */
export async function agentsFixture(t: { teardown(clean: () => unknown): void }): Promise<Fixture> {
  const database = await testDatabase(t);
  const storage = testStorage(t, database);
  const time = { now: Date.now() };
  const signer = { down: false };
  const registered = await registeredSigner(database, signer);
  const appender = (): AuditAppender => {
    const nothing = () => undefined;
    const audit = createAuditAppender({
      storage,
      signer: registered,
      clock: () => time.now,
      transactions: 2,
      observe: { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing },
    });
    t.teardown(() => audit.close());
    return audit;
  };
  const audit = appender();
  const control: Control = { denies: [], afterEvaluate: async () => undefined };
  const logged: Record<string, unknown>[] = [];
  const metrics: string[] = [];
  const replica = () => services({ storage, audit: appender(), time, control, logged, metrics });
  const parts = services({ storage, audit, time, control, logged, metrics });
  for (const workspaceId of ['demo', 'other']) await parts.workspaces.create({ workspaceId }, CALLER);
  const events: Fixture['events'] = async (workspaceId = 'demo') => {
    const { rows } = await database.query(
      'SELECT event_type, payload, sign_mode FROM audit_events WHERE chain = $1 ORDER BY seq',
      [workspaceId],
    );
    return rows;
  };
  const api = async () => {
    const app = await apiOf(parts);
    t.teardown(() => app.close());
    return app;
  };
  return { ...parts, database, storage, audit, time, control, signer, logged, metrics, events, replica, api };
}

function services(base: {
  storage: Storage;
  audit: AuditAppender;
  time: { now: number };
  control: Control;
  logged: Record<string, unknown>[];
  metrics: string[];
}) {
  const { storage, audit, time, control, logged, metrics } = base;
  const log = {
    info: (fields: Readonly<Record<string, unknown>>) => void logged.push({ ...fields }),
    error: (fields: Readonly<Record<string, unknown>>) => void logged.push({ ...fields }),
  };
  const runtimes = createRuntimeRegistry();
  const policy = { bumpRevision: async () => undefined };
  const admission = rowAdmission(storage, control, () => time.now);
  const settings = createWorkspaceSettings({ storage, audit });
  const manifests = manifestsWithoutSigners({ storage, audit, clock: () => time.now });
  const service = createAgentService({ storage, audit, policy, runtimes, manifests, workspaces: settings });
  const lists = createAgentLists({ storage });
  const brakes = createAgentBrakes({ audit, runtimes });
  const observe = {
    allowed: () => void metrics.push('allowed'),
    denied: (code: string) => void metrics.push(code),
  };
  const start = createStartAgent({ audit, admission, runtimes, observe, log });
  const batch = createRunBatch({
    log,
    actions: {
      start: (workspaceId, agentId, caller) => start(workspaceId, agentId, {}, caller),
      stop: (workspaceId, agentId, caller) => brakes.stop(workspaceId, agentId, {}, caller),
      delete: async (workspaceId, agentId, caller) => {
        await service.remove(workspaceId, agentId, caller);
        return { success: true };
      },
      promote: async () => ({ success: false, code: 'ANATOMY_INCOMPLETE', denies: [] }),
    },
  });
  const expireDue = createExpireDue({ storage, brakes, clock: () => time.now, log });
  const workspaces = createWorkspaceService({ storage, audit, policy: { activateDefault } });
  return { service, lists, brakes, start, batch, expireDue, workspaces, settings, admission };
}

/** Rows of an active policy, without a policy: nothing here evaluates one. */
const activateDefault: Parameters<typeof createWorkspaceService>[0]['policy']['activateDefault'] = async (
  scope,
  workspaceId,
  actor,
) => {
  const nothing = Buffer.from('{}');
  const at = new Date(scope.now);
  await sql`
    INSERT INTO policy_versions (workspace_id, version, policy_set, hash, bundle, wasm, wasm_sha256, compiler_version,
      packages, created_at, created_by)
    VALUES (${workspaceId}, 1, 'default', ${POLICY_HASH}, ${nothing}, ${nothing}, ${POLICY_HASH}, '1', '{}', ${at},
      ${actor.id})`.execute(scope.trx);
  await sql`
    INSERT INTO policy_heads (workspace_id, policy_set, version, hash, activation_seq, activated_at, activated_by, revision)
    VALUES (${workspaceId}, 'default', 1, ${POLICY_HASH}, 1, ${at}, ${actor.id}, 1)`.execute(scope.trx);
};

async function registeredSigner(database: TestDatabase, state: { down: boolean }): Promise<Signer> {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const signer = createLocalSigner({ signerId: 'test', privateKeyPem });
  await database.query(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, created_at, created_by, updated_at)
     VALUES ('test', 'Ed25519', $1, 'audit', 'active', now(), 'test', now())`,
    [publicKeyPem],
  );
  return {
    ...signer,
    sign: (data, signal) =>
      state.down ? Promise.reject(new SignerError('switched off by the test')) : signer.sign(data, signal),
  };
}

async function apiOf(parts: ReturnType<typeof services>): Promise<FastifyInstance> {
  const app = Fastify({
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: true } },
  });
  await app.register(routeContractPlugin, { isPermission });
  await app.register(problemPlugin, { random: () => 0 });
  await app.register(requestContextPlugin);
  await app.register(refusalsPlugin);
  await app.register(jsonBodyPlugin);
  await app.register(queryTypesPlugin);
  await app.register(identityPlugin, {
    authenticate: (_socket, request) => principalOf(String(request.headers['x-as'] ?? 'operator@demo')),
  });
  await app.register(agentRoutes, parts);
  await app.register(runRoutes, parts);
  await app.register(workspaceRoutes, { service: parts.workspaces });
  return app;
}

function principalOf(text: string): Principal {
  const [role = '', workspace = ''] = text.split('@');
  const roles: Record<string, Role> = {
    operator: 'operator',
    'kernel-admin': 'kernel-admin',
    auditor: 'auditor',
    'kernel-approver': 'kernel-approver',
  };
  const found = roles[role];
  if (found === undefined) throw new RangeError(`no role ${role}`);
  return { id: `${role}-1`, kind: 'human', roles: [found], workspaces: workspace === '*' ? '*' : [workspace] };
}
