import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import Fastify from 'fastify';
import t from 'tap';

import {
  createEmbeddedRuntime,
  createExternalRuntime,
  type ExternalRuntime,
  type Input,
} from '../../packages/client/src/index.ts';
import { acceptEmbedded, embeddedDispatcher } from '../../src/embedded.ts';
import type { Principal } from '../../src/identity/principal.ts';
import { until } from '../support/process.ts';
import { type Answer, testService } from '../support/service.ts';
import { type Behaviour, clientOf, failure, faultyServer } from './support/faulty.ts';

const example = (name: string) => JSON.parse(readFileSync(new URL(`../../examples/${name}`, import.meta.url), 'utf8'));
const RELAXED: Input<'hotReloadPolicy'>['body'] = example('policy-relaxed.json');
const AGENT: Input<'createAgent'>['body'] = example('agent.json');
const NOBODY = '01890000-0000-7000-8000-000000000000';

const world = await testService(t);
const { service, certsDir } = world;
const ADMIN = principalOf('kernel-admin');

/** What the suite needs of a runtime: the eight methods, and the client under them. */
type Runtime = Pick<
  ExternalRuntime,
  Exclude<keyof ExternalRuntime, 'client' | 'close' | typeof Symbol.asyncDispose>
> & {
  readonly client: Pick<ExternalRuntime['client'], 'request' | 'list'>;
};

const external = await externalAs('kernel-admin');
const runtimes: readonly (readonly [string, Runtime, string])[] = [
  ['external', external, 'demo'],
  ['embedded', createEmbeddedRuntime(embeddedDispatcher(service.app, ADMIN)), 'other'],
];

for (const [name, runtime, workspaceId] of runtimes) {
  t.test(`${name}: start, status, stop`, async (t) => {
    const agentId = await newAgent(runtime, workspaceId);
    const started = await runtime.startAgent(workspaceId, agentId, { replicas: 1 });
    t.match(started, { success: true, agentId, status: 'running', auditEvent: { chain: workspaceId } });
    t.equal(started.admission?.checks.length, 7);
    t.equal((await runtime.startAgent(workspaceId, agentId)).alreadyRunning, true);
    t.match(await runtime.getAgentStatus(workspaceId, agentId), { agentId, mode: 'sandbox', status: 'running' });
    t.match(await runtime.stopAgent(workspaceId, agentId, { reason: 'the test is over' }), { status: 'stopped' });
    const { events } = (
      await runtime.client.request('listAuditEvents', { params: { workspaceId }, query: { type: 'agent.stopped' } })
    ).body;
    t.match(events.at(-1), { actor: { id: ADMIN.id, kind: ADMIN.kind } }, 'the same identity by either way');
  });

  t.test(`${name}: statuses, a page and all of them`, async (t) => {
    for (let made = 0; made < 4; made += 1) await newAgent(runtime, workspaceId);
    const page = await runtime.getAgentStatuses(workspaceId, { limit: 2 });
    t.equal(page.agents.length, 2);
    const ids: string[] = [];
    const all = runtime.client.list('listAgentStatuses', { params: { workspaceId }, query: { limit: 2, page: 1 } });
    for await (const status of all) ids.push(status.agentId);
    t.equal(ids.length, page.total);
    t.equal(new Set(ids).size, ids.length);
    const few = runtime.client.list('listAgents', { params: { workspaceId }, query: { limit: 2 } }, { maxItems: 3 });
    let given = 0;
    for await (const _ of few) given += 1;
    t.equal(given, 3);
  });

  t.test(`${name}: policy, revalidation, governance`, async (t) => {
    const agentId = await newAgent(runtime, workspaceId);
    const promoted = await runtime.client.request('promoteAgent', { params: { workspaceId, agentId } });
    t.match(promoted, { status: 200, body: { success: true } });
    const before = await runtime.fetchPolicySnapshot(workspaceId);
    const reloaded = await runtime.hotReloadPolicy(workspaceId, { ...RELAXED, expectedHash: before.hash });
    t.equal(reloaded.oldHash, before.hash);
    const { results } = await runtime.revalidateAgents(workspaceId, [agentId]);
    t.match(results, [{ agentId, status: 'GOVERNED_VALID' }]);
    t.ok((await runtime.revalidateAgents(workspaceId)).revalidation.total >= 1);
    const { governance } = await runtime.getAgentGovernance(workspaceId, agentId);
    t.match(governance, { status: 'GOVERNED_VALID', policyHash: reloaded.newHash });
    const stale = runtime.hotReloadPolicy(workspaceId, { ...RELAXED, expectedHash: before.hash });
    t.match(await failure(stale), { kind: 'problem', code: 'POLICY_HASH_CONFLICT', status: 409, attempts: 1 });
    const broken = {
      policySet: RELAXED.policySet,
      bundle: { modules: { 'promotion.rego': 'package castellan.promotion\ndeny contains {' }, data: {} },
    };
    const refused = await failure(runtime.hotReloadPolicy(workspaceId, broken));
    t.match(refused, { kind: 'problem', status: 422 });
    t.match(refused.errors, [{ file: 'promotion.rego', row: 2, detail: String }]);
    const { etag } = await runtime.client.request('getPolicySnapshot', { params: { workspaceId } });
    if (etag === undefined) return t.fail('a snapshot has an ETag');
    const again = await runtime.client.request('getPolicySnapshot', { params: { workspaceId } }, { ifNoneMatch: etag });
    t.match(again, { status: 304, body: undefined });
  });

  t.test(`${name}: a denial says why`, async (t) => {
    const agentId = await newAgent(runtime, workspaceId);
    await runtime.client.request('promoteAgent', { params: { workspaceId, agentId } });
    await world.database.query('UPDATE agent_specs SET spec_hash = $2 WHERE agent_id = $1', [
      agentId,
      `sha256:${'0'.repeat(64)}`,
    ]);
    const denied = await failure(runtime.startAgent(workspaceId, agentId));
    t.match(denied, {
      kind: 'problem',
      code: 'ADMISSION_DENIED',
      status: 403,
      retryable: false,
      operation: 'startAgent',
    });
    t.match(denied.denies[0], { code: 'SPEC_HASH_MISMATCH', severity: 'DENY', check: 'specHash' });
    t.match(denied.decisionId, /^[0-9a-f-]{36}$/);
    t.match(denied.requestId, /^[0-9a-f-]{36}\.1$/);
  });

  t.test(`${name}: one key, one effect`, async (t) => {
    const create = (body: typeof AGENT) =>
      runtime.client.request('createAgent', { params: { workspaceId }, body }, { idempotencyKey: `${name}-1` });
    const first = await create(AGENT);
    const again = await create(AGENT);
    t.equal(first.replayed, false);
    t.equal(again.replayed, true);
    t.equal(again.body.id, first.body.id);
    t.match(await failure(create({ ...AGENT, ttlSeconds: 77 })), { code: 'IDEMPOTENCY_KEY_REUSED', status: 422 });
  });

  t.test(`${name}: errors`, async (t) => {
    const missing = await failure(runtime.getAgentStatus(workspaceId, NOBODY));
    t.match(missing, { kind: 'problem', code: 'NOT_FOUND', status: 404, maybeApplied: false });
    const invalid = await failure(runtime.startAgent(workspaceId, NOBODY, { replicas: 0 }));
    t.match(invalid, { kind: 'problem', code: 'VALIDATION_FAILED', errors: [{ pointer: '/replicas' }] });
    t.match(await failure(runtime.getAgentStatus(workspaceId, '..')), { kind: 'usage', attempts: 0 });
    const aborted = await failure(runtime.getAgentStatus(workspaceId, NOBODY, { signal: AbortSignal.abort('why') }));
    t.match(aborted, { kind: 'aborted', code: 'ABORTED', cause: 'why', attempts: 0 });
    const held = world.database.query('BEGIN; LOCK TABLE agents; SELECT pg_sleep(2); COMMIT');
    const locks = `SELECT FROM pg_locks WHERE relation = 'agents'::regclass AND mode = 'AccessExclusiveLock' AND granted`;
    await until('the lock', async () => (await world.database.query(locks)).rowCount === 1);
    const late = await failure(runtime.getAgentStatuses(workspaceId, {}, { deadlineMs: 100 }));
    t.match(late, { kind: 'timeout', code: 'DEADLINE_EXCEEDED' });
    await held;
  });
}

t.test('a creation whose answer was lost happens once', async (t) => {
  const forward =
    (after: (response: ServerResponse, answer: Answer) => void): Behaviour =>
    async (response, { method, url, headers, body }) => {
      const own = ['content-type', 'idempotency-key'].map((name) => [name, String(headers[name])]);
      after(response, await world.call('operator', method, url, body, Object.fromEntries(own)));
    };
  const pass = forward((response, { status, headers, text }) => {
    response.writeHead(status, headers).end(text);
  });
  const proxy = await faultyServer(t, pass);
  const lose = forward((response) => response.socket?.destroy());
  proxy.script(lose, lose);
  const client = await clientOf(t, [proxy]);
  const body = { ...AGENT, spec: { ...AGENT.spec, name: 'made once' } };
  const created = await client.request('createAgent', { params: { workspaceId: 'demo' }, body });
  t.match(created, { status: 201, replayed: true });
  t.equal(proxy.seen.length, 3);
  const search = { params: { workspaceId: 'demo' }, query: { search: 'made once' } };
  t.same(
    (await client.request('listAgents', search)).body.agents.map(({ id }) => id),
    [created.body.id],
  );
});

t.test('permissions and workspaces bind both alike', async (t) => {
  const outsider = principalOf('outsider');
  const ways: readonly Runtime[] = [
    await externalAs('outsider'),
    createEmbeddedRuntime(embeddedDispatcher(service.app, outsider)),
  ];
  for (const runtime of ways) {
    t.match(await failure(runtime.getAgentStatuses('demo')), { code: 'NOT_FOUND', status: 404 });
    t.match(await failure(runtime.hotReloadPolicy('other', RELAXED)), { code: 'PERMISSION_DENIED', status: 403 });
  }
});

t.test('nothing but the dispatcher is let in without a certificate', async (t) => {
  const dispatcher = embeddedDispatcher(service.app, ADMIN);
  const url = '/v1/workspaces/demo/agents';
  t.equal((await service.app.inject({ url })).statusCode, 401);
  const [embedded, beside] = await Promise.all([
    dispatcher.dispatch({ method: 'GET', path: url, headers: {}, body: undefined }),
    service.app.inject({ url, headers: { authorization: 'Bearer x', 'x-principal': 'kernel-admin' } }),
  ]);
  t.equal(embedded.status, 200);
  t.equal(beside.statusCode, 401);
  await t.rejects(dispatcher.dispatch({ method: 'TRACE', path: url, headers: {}, body: undefined }), TypeError);
});

t.test('a request on a socket is never taken for one of this process', async (t) => {
  const outsider = principalOf('outsider');
  const accept = acceptEmbedded(() => outsider);
  const app = Fastify();
  t.teardown(() => app.close());
  app.get('/socket', async (request) => (await accept(new Socket(), request)).id);
  app.get('/process', async (request) => (await accept(request.raw.socket, request)).id);
  const ask = async (path: string): Promise<string> => {
    const { body } = await embeddedDispatcher(app, ADMIN).dispatch({
      method: 'GET',
      path,
      headers: {},
      body: undefined,
    });
    return Buffer.from(body).toString();
  };
  t.equal(await ask('/process'), ADMIN.id);
  t.equal(await ask('/socket'), outsider.id);
});

t.test('what a handler starts in turn is let in no more', async (t) => {
  const seen: number[] = [];
  const unhook = service.app.workspaces.list;
  service.app.workspaces.list = async (...question) => {
    seen.push((await service.app.inject({ url: '/v1/workspaces' })).statusCode);
    return unhook(...question);
  };
  t.teardown(() => {
    service.app.workspaces.list = unhook;
  });
  await createEmbeddedRuntime(embeddedDispatcher(service.app, ADMIN)).client.request('listWorkspaces');
  t.same(seen, [401]);
});

async function newAgent(runtime: Runtime, workspaceId: string): Promise<string> {
  return (await runtime.client.request('createAgent', { params: { workspaceId }, body: AGENT })).body.id;
}

async function externalAs(who: string): Promise<ExternalRuntime> {
  const runtime = await createExternalRuntime({
    serverUrls: [service.apiUrl],
    caCertPemRef: join(certsDir, 'ca.crt'),
    clientCertPemRef: join(certsDir, `${who}.crt`),
    clientKeyPemRef: join(certsDir, `${who}.key`),
  });
  t.teardown(() => runtime.close());
  return runtime;
}

/** The principal that the identity map gives the certificate of that name. */
function principalOf(who: string): Principal {
  const map = JSON.parse(readFileSync(join(certsDir, 'identity-map.json'), 'utf8'));
  const found = map.principals.find((one: { match: { spiffe: string } }) => one.match.spiffe.endsWith(`/${who}`));
  const { id, kind, roles, workspaces } = found;
  return { id, kind, roles, workspaces: workspaces[0] === '*' ? '*' : workspaces };
}
