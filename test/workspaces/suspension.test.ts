import { randomUUID } from 'node:crypto';
import t from 'tap';

import { createStopRunning } from '../../src/agents/stop-running.ts';
import { createRuntimeRegistry } from '../../src/runtime/registry.ts';
import { createSuspension } from '../../src/workspaces/suspension.ts';
import { agentsFixture, CALLER } from '../agents/fixture.ts';
import { until } from '../support/process.ts';
import { testService } from '../support/service.ts';

const WORKSPACE = '/v1/workspaces/demo';
const AGENTS = `${WORKSPACE}/agents`;
const REASON = { reason: 'an incident' };
/** More than one unit stops. */
const MANY = 105;

t.test('a suspended workspace', async (t) => {
  const here = await testService(t);
  const there = await testService(t, { replicaOf: here });
  const admin = (method: string, path: string, body?: unknown, headers = {}) =>
    here.call('kernel-admin', method, path, body, headers);
  const events = async (after: number) =>
    (
      await here.database.query(
        `SELECT seq::int, event_type, actor_id, payload, sign_mode FROM audit_events
         WHERE chain = 'demo' AND seq > $1 ORDER BY seq`,
        [after],
      )
    ).rows;
  const head = async () =>
    (await here.database.query(`SELECT seq::int FROM audit_heads WHERE chain = 'demo'`)).rows[0].seq;
  const running = async () =>
    (await here.database.query(`SELECT count(*)::int AS n FROM agents WHERE status IN ('starting', 'running')`)).rows[0]
      .n;

  const made = await Promise.all(
    Array.from({ length: MANY }, (_, n) => here.call('operator', 'POST', AGENTS, { spec: { name: `a${n}` } })),
  );
  const ids = made.map(({ body }) => String(body.id));
  const one = `${AGENTS}/${ids[0]}`;
  await here.call('operator', 'POST', `${AGENTS}:batch`, { action: 'start', agentIds: ids });
  t.equal(await running(), MANY);
  const key = { 'idempotency-key': randomUUID() };
  const kept = await here.call('operator', 'POST', AGENTS, { spec: { name: 'kept' } }, key);
  t.equal(kept.status, 201);

  t.test('has everything stopped, with an event for each', async (t) => {
    const before = await head();
    const answer = await admin('POST', `${WORKSPACE}/suspend`, REASON);
    t.match(answer, {
      status: 200,
      body: { workspaceId: 'demo', state: 'suspended', suspendedBy: 'kernel-admin', stopped: MANY, stopping: false },
    });
    t.equal(await running(), 0);
    const left = await events(before);
    const stops = left.filter(({ event_type: type }) => type === 'agent.stopped');
    t.same(stops.map(({ payload }) => payload.agentId).sort(), ids.toSorted());
    t.match(
      left.filter(({ event_type: type }) => type === 'workspace.suspended'),
      [{ actor_id: 'kernel-admin', payload: { workspaceId: 'demo', reason: { c: /^[0-9a-f]{64}$/ }, stopped: 100 } }],
    );
    t.equal(left.length, MANY + 1);
    t.match((await here.call('operator', 'GET', WORKSPACE)).body, { state: 'suspended', suspendedBy: 'kernel-admin' });
  });

  t.test('is suspended once', async (t) => {
    const before = await head();
    t.match(await admin('POST', `${WORKSPACE}/suspend`, REASON), { status: 200, body: { stopped: 0 } });
    t.same(await events(before), []);
  });

  t.test('refuses what would change it, on every replica, and says so in its audit', async (t) => {
    const refused: readonly (readonly [string, string, unknown?])[] = [
      ['POST', AGENTS, { spec: { name: 'new' } }],
      ['PATCH', one, { spec: { description: 'new' } }],
      ['DELETE', one],
      ['POST', `${one}/fork`, {}],
      ['POST', `${one}/release`, REASON],
      ['POST', `${AGENTS}:batch`, { action: 'delete', agentIds: ids.slice(0, 2) }],
      ['POST', `${WORKSPACE}/policy/rollback`, { version: 1 }],
      ['POST', `${WORKSPACE}/policy/revalidate`, {}],
    ];
    for (const at of [here, there]) {
      for (const [method, path, body] of refused) {
        const before = await head();
        const answer = await at.call('kernel-admin', method, path, body);
        t.match(answer, { status: 403, body: { code: 'WORKSPACE_SUSPENDED' } }, `${method} ${path}`);
        t.match(await events(before), [
          { event_type: 'access.denied', payload: { code: 'WORKSPACE_SUSPENDED', reason: 'SUSPENDED', count: 1 } },
        ]);
      }
    }
  });

  t.test('starts and promotes nothing, by a decision', async (t) => {
    for (const at of [here, there]) {
      const start = await at.call('operator', 'POST', `${one}/start`);
      t.match(start, { status: 403, body: { code: 'WORKSPACE_SUSPENDED', decisionId: String } });
    }
    const promoted = await here.call('operator', 'POST', `${one}/promote`, {});
    t.match(promoted, { status: 403, body: { code: 'WORKSPACE_SUSPENDED' } });
    const batch = await here.call('operator', 'POST', `${AGENTS}:batch`, { action: 'start', agentIds: [ids[0]] });
    t.match(batch, { status: 200, body: { results: [{ success: false, code: 'WORKSPACE_SUSPENDED' }] } });
    t.equal(await running(), 0);
  });

  t.test('can be read, stopped, audited and put in order', async (t) => {
    t.equal((await here.call('operator', 'GET', AGENTS)).status, 200);
    t.equal((await here.call('operator', 'POST', `${one}/stop`)).status, 200);
    t.equal((await admin('POST', `${one}/quarantine`, REASON)).status, 200);
    t.equal((await here.call('auditor', 'POST', `${WORKSPACE}/audit/verify`)).status, 200);
    t.equal((await admin('PUT', `${WORKSPACE}/audit/hold`, REASON)).status, 200);
    t.equal((await admin('DELETE', `${WORKSPACE}/audit/hold`, REASON)).status, 200);
    t.equal((await admin('PATCH', `${WORKSPACE}/settings`, { limits: { maxAgents: 1000 } })).status, 200);
  });

  t.test('gives the answers again that it gave before', async (t) => {
    const again = await here.call('operator', 'POST', AGENTS, { spec: { name: 'kept' } }, key);
    t.match(again, { status: 201, text: kept.text, headers: { 'idempotent-replayed': 'true' } });
  });

  t.test('is only for administrators of it', async (t) => {
    for (const action of ['suspend', 'resume']) {
      t.equal((await here.call('operator', 'POST', `${WORKSPACE}/${action}`, REASON)).status, 403);
      t.equal((await here.call('outsider', 'POST', `${WORKSPACE}/${action}`, REASON)).status, 404);
      t.equal((await admin('POST', `${WORKSPACE}/${action}`, {})).status, 400);
      t.equal((await admin('POST', `/v1/workspaces/none/${action}`, REASON)).status, 404);
    }
  });

  t.test('goes on when it is resumed; what was stopped waits for its start', async (t) => {
    const before = await head();
    t.match(await admin('POST', `${WORKSPACE}/resume`, REASON), { status: 200, body: { state: 'active' } });
    t.match(await events(before), [{ event_type: 'workspace.resumed', payload: { reason: { c: String } } }]);
    t.notOk('suspendedAt' in (await here.call('operator', 'GET', WORKSPACE)).body);
    t.equal(await running(), 0);
    t.equal((await there.call('operator', 'POST', `${AGENTS}/${ids[1]}/start`)).status, 200);
    t.equal((await here.call('operator', 'POST', AGENTS, { spec: { name: 'new' } })).status, 201);
    const then = await head();
    t.equal((await admin('POST', `${WORKSPACE}/resume`, REASON)).status, 200);
    t.same(await events(then), [], 'an active one stays as it is');
  });

  t.test('has the rest stopped by a job when nobody else does it', async (t) => {
    t.equal(await running(), 1);
    await here.database.query(`UPDATE workspaces SET state = 'suspended' WHERE id = 'demo'`);
    await until('the job stops it', async () => (await running()) === 0, 10_000);
    t.match((await events(0)).at(-1), { event_type: 'agent.stopped', actor_id: 'castellan' });
  });
});

t.test('without a signer', async (t) => {
  const f = await agentsFixture(t);
  const suspension = createSuspension({
    storage: f.storage,
    audit: f.audit,
    stopRunning: createStopRunning(createRuntimeRegistry()),
    now: () => performance.now(),
  });
  const { agent } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);
  await f.start('demo', agent.id, {}, CALLER);
  f.signer.down = true;

  t.match(await suspension.suspend('demo', 'the key is away', CALLER), { state: 'suspended', stopped: 1 });
  t.match((await f.events()).slice(-2), [
    { event_type: 'agent.stopped', sign_mode: 'deferred' },
    { event_type: 'workspace.suspended', sign_mode: 'deferred' },
  ]);
  await t.rejects(suspension.resume('demo', 'all is well', CALLER), 'it takes a signature to let it go on');
  f.signer.down = false;
  t.match(await suspension.resume('demo', 'all is well', CALLER), { state: 'active' });
});
