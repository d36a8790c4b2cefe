import t from 'tap';

import { SignerError } from '../../src/crypto/signer.ts';
import { newId } from '../../src/ids.ts';
import { runningAgainstSwitch } from '../../src/kill-switch/store.ts';
import { testStorage } from '../support/database.ts';
import { testService } from '../support/service.ts';

const FLEET = '/v1/kill-switch';
const one = await testService(t, { withoutJobs: ['kill-switch'] });
const two = await testService(t, { replicaOf: one, withoutJobs: ['kill-switch'] });
const { call, database } = one;

async function agent(workspaceId = 'demo'): Promise<string> {
  const { body } = await call('kernel-admin', 'POST', `/v1/workspaces/${workspaceId}/agents`, { spec: { name: 'a' } });
  return `/v1/workspaces/${workspaceId}/agents/${body.id}`;
}

const start = (path: string, at = one) => at.call('kernel-admin', 'POST', `${path}/start`, {});
const statusOf = async (path: string) => (await call('kernel-admin', 'GET', `${path}/status`)).body.status;
const engage = (path: string, at = one) => at.call('kernel-admin', 'PUT', path, { reason: 'it went wrong' });
const clear = (path: string) => call('kernel-admin', 'DELETE', path, { reason: 'it is mended' });

async function events(chain: string, since = 0): Promise<string[]> {
  const { rows } = await database.query(
    'SELECT event_type AS type FROM audit_events WHERE chain = $1 AND seq > $2 ORDER BY seq',
    [chain, since],
  );
  return rows.map(({ type }) => type);
}

async function headOf(chain: string): Promise<number> {
  const { rows } = await database.query('SELECT seq::int FROM audit_heads WHERE chain = $1', [chain]);
  return rows[0].seq;
}

const running = async () =>
  (await database.query(`SELECT count(*)::int AS n FROM agents WHERE status IN ('starting', 'running')`)).rows[0].n;

t.test('of one agent: it is stopped in the same unit, and does not start', async (t) => {
  const path = await agent();
  const other = await agent();
  for (const each of [path, other]) t.equal((await start(each)).status, 200);
  const before = await headOf('demo');
  const off = await call('operator', 'GET', `${path}/kill-switch`);
  t.match(off, { status: 200, body: { scope: 'agent', workspaceId: 'demo', engaged: false, auditEvent: null } });

  const engaged = await engage(`${path}/kill-switch`);
  t.equal(engaged.status, 200, engaged.text);
  t.match(engaged.body, {
    scope: 'agent',
    workspaceId: 'demo',
    engaged: true,
    engagedBy: 'kernel-admin',
    reason: 'it went wrong',
    auditEvent: { chain: 'demo', seq: before + 1 },
    stopping: false,
  });
  t.same(await events('demo', before), ['killswitch.engaged', 'agent.stopped']);
  t.same([await statusOf(path), await statusOf(other)], ['stopped', 'running']);

  const again = await engage(`${path}/kill-switch`, two);
  t.match(again, { status: 200, body: { engaged: true, reason: 'it went wrong', auditEvent: null } });
  t.equal((await events('demo', before)).length, 2, 'twice changes nothing');

  for (const at of [one, two]) {
    const denied = await start(path, at);
    t.match(denied, {
      status: 403,
      body: {
        code: 'KILL_SWITCH',
        denies: [{ code: 'KILL_SWITCH', severity: 'DENY', check: 'killSwitch' }],
        decisionId: /^[0-9a-f-]{36}$/,
      },
    });
  }
  t.equal((await events('demo', before)).at(-1), 'agent.start.denied');

  const cleared = await clear(`${path}/kill-switch`);
  t.match(cleared, { status: 200, body: { engaged: false, auditEvent: { chain: 'demo' } } });
  t.equal(await statusOf(path), 'stopped', 'nothing starts by itself');
  t.same((await clear(`${path}/kill-switch`)).body.auditEvent, null);
  t.equal((await start(path, two)).status, 200);
});

t.test('of a workspace: what runs there stops, and nothing else', async (t) => {
  const mine = [await agent(), await agent(), await agent()];
  const theirs = await agent('other');
  for (const path of [...mine, theirs]) await start(path);
  const before = await headOf('demo');
  const engaged = await engage('/v1/workspaces/demo/kill-switch');
  t.match(engaged, { status: 200, body: { scope: 'workspace', engaged: true, stopping: false } });
  for (const path of mine) t.equal(await statusOf(path), 'stopped');
  t.equal(await statusOf(theirs), 'running');
  t.equal((await events('demo', before))[0], 'killswitch.engaged');
  t.match(await start(mine[0] ?? '', two), { status: 403, body: { code: 'KILL_SWITCH' } });
  t.equal((await call('kernel-admin', 'POST', `${theirs}/stop`, {})).status, 200);
  t.equal((await start(theirs)).status, 200);

  t.test('the switches do not stand for one another', async (t) => {
    const [path = ''] = mine;
    t.match((await call('auditor', 'GET', `${path}/kill-switch`)).body, { engaged: false });
    await engage(`${path}/kill-switch`);
    t.match(await clear('/v1/workspaces/demo/kill-switch'), { status: 200 });
    t.match(await start(path), { status: 403, body: { denies: [{ reason: /of the agent/ }] } });
    t.equal((await start(mine[1] ?? '')).status, 200);
    t.match(await clear(`${path}/kill-switch`), { status: 200 });
  });
});

t.test('of all workspaces: everything stops, and nothing starts on any replica', async (t) => {
  const paths = [await agent(), await agent('other')];
  for (const path of paths) await start(path);
  const before = await headOf('_system');
  const engaged = await engage(FLEET, two);
  t.match(engaged, { status: 200, body: { scope: 'fleet', engaged: true, stopping: false } });
  t.same(await events('_system', before), ['killswitch.engaged']);
  t.equal(await running(), 0);
  for (const path of paths) {
    t.match(await start(path), { status: 403, body: { denies: [{ reason: /of all workspaces/ }] } });
  }
  t.match(await call('operator', 'GET', FLEET), { status: 200, body: { engaged: true } });
  t.match(await clear(FLEET), { status: 200, body: { engaged: false, auditEvent: { chain: '_system' } } });
  for (const path of paths) t.equal((await start(path)).status, 200);
});

t.test('more agents than one unit stops', async (t) => {
  await database.query(
    `INSERT INTO agents (workspace_id, id, name, name_folded, mode, status, spec_version, spec_hash, capabilities, managed,
       desired_replicas, ready_replicas, expires_at, since, created_at, created_by, updated_at)
     SELECT 'other', gen_random_uuid(), 'n', 'n', 'sandbox', 'running', 1, 'sha256:' || repeat('0', 64), '{}', false,
       1, 1, now() + interval '1 day', now(), now(), 'x', now() FROM generate_series(1, 250)`,
  );
  t.match(await engage('/v1/workspaces/other/kill-switch'), { status: 200, body: { stopping: false } });
  const { rows } = await database.query(`SELECT DISTINCT status FROM agents WHERE workspace_id = 'other'`);
  t.same(rows, [{ status: 'stopped' }]);
  await clear('/v1/workspaces/other/kill-switch');
});

t.test('what a crash left running is stopped by the job', async (t) => {
  const path = await agent();
  await start(path);
  await database.query(
    `INSERT INTO kill_switches VALUES ('demo', '', now(), 'somebody', (SELECT seq FROM audit_heads WHERE chain = 'demo'))`,
  );
  const three = await testService(t, { replicaOf: one });
  const until = Date.now() + 20_000;
  while ((await statusOf(path)) !== 'stopped' && Date.now() < until) await new Promise((go) => setImmediate(go));
  t.equal(await statusOf(path), 'stopped');
  await three.service.close();
  await clear('/v1/workspaces/demo/kill-switch');
});

t.test('without a signer it is engaged all the same, and not cleared', async (t) => {
  const path = await agent();
  await start(path);
  const signer = one.service.app.signers.audit;
  const sign = signer.sign.bind(signer);
  const away = async () => {
    throw new SignerError('the key is away');
  };
  Object.assign(signer, { sign: away });
  t.teardown(() => Object.assign(signer, { sign }));
  for (const switchPath of [`${path}/kill-switch`, '/v1/workspaces/demo/kill-switch', FLEET]) {
    t.match(await engage(switchPath), { status: 200, body: { engaged: true, stopping: false } }, switchPath);
    const { rows } = await database.query(
      `SELECT sign_mode FROM audit_events WHERE event_type = 'killswitch.engaged' ORDER BY ts DESC LIMIT 1`,
    );
    t.same(rows, [{ sign_mode: 'deferred' }]);
    t.match(await clear(switchPath), { status: 503, body: { code: 'SIGNER_UNAVAILABLE' } });
  }
  t.equal(await statusOf(path), 'stopped');
  Object.assign(signer, { sign });
  for (const switchPath of [`${path}/kill-switch`, '/v1/workspaces/demo/kill-switch', FLEET]) {
    t.equal((await clear(switchPath)).status, 200);
  }
  for (const chain of ['demo', '_system']) {
    const { rows } = await database.query('SELECT deferred_from FROM audit_heads WHERE chain = $1', [chain]);
    t.same(rows, [{ deferred_from: null }], 'and signed over afterwards');
  }
});

t.test('a workspace finds its own agents, whosever switch is engaged', async (t) => {
  const storage = testStorage(t, database);
  const [mine, theirs] = [await agent(), await agent('other')];
  for (const path of [mine, theirs]) await start(path);
  const found = (workspaceId: string) => storage.read(workspaceId, (trx) => runningAgainstSwitch(trx, 1000));
  const here = async (workspaceId: string, path: string) =>
    (await found(workspaceId)).some(({ id }) => path.endsWith(id));
  t.same([await found('demo'), await found('other')], [[], []], 'none is engaged');
  const engaged = (row: string) => database.query(`INSERT INTO kill_switches VALUES (${row}, now(), 'somebody', 1)`);
  await engaged(`'other', ''`);
  t.same([await here('demo', mine), await here('other', theirs)], [false, true]);
  t.notOk(await here('other', mine));
  await engaged(`'_system', ''`);
  t.same([await here('demo', mine), await here('demo', theirs)], [true, false]);
  const rows = await storage.read('demo', (trx) => trx.selectFrom('kill_switches').selectAll().execute());
  t.same(rows, [], 'and sees no switch but its own');
  await database.query('DELETE FROM kill_switches');
});

t.test('who may, and what is there', async (t) => {
  const path = await agent();
  for (const switchPath of [FLEET, '/v1/workspaces/demo/kill-switch', `${path}/kill-switch`]) {
    for (const method of ['PUT', 'DELETE']) {
      t.equal((await call('operator', method, switchPath, { reason: 'x' })).status, 403);
      t.match(await call('kernel-admin', method, switchPath, {}), { status: 400 });
      t.match(await call('kernel-admin', method, switchPath, { reason: 'x', actor: 'root' }), { status: 400 });
    }
  }
  for (const method of ['PUT', 'DELETE']) {
    t.equal((await call('kernel-admin', method, '/v1/workspaces/nowhere/kill-switch', { reason: 'x' })).status, 404);
    const nobody = `/v1/workspaces/demo/agents/${newId()}/kill-switch`;
    t.equal((await call('kernel-admin', method, nobody, { reason: 'x' })).status, 404);
  }
  t.equal((await call('outsider', 'GET', '/v1/workspaces/demo/kill-switch')).status, 404);
  t.equal((await call('kernel-admin', 'GET', '/v1/workspaces/nowhere/kill-switch')).status, 404);
  t.equal((await call('kernel-admin', 'GET', `/v1/workspaces/demo/agents/${newId()}/kill-switch`)).status, 404);
  t.match((await database.query('SELECT * FROM kill_switches')).rows, []);
});
