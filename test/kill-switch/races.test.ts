import pg from 'pg';
import t, { type Test } from 'tap';

import { type Answer, testService } from '../support/service.ts';

/** Agents that are started over and over, by two replicas at once, while a switch is engaged. */
const AGENTS = 6;
const ROUNDS = 3;

const one = await testService(t, { withoutJobs: ['kill-switch'] });
const two = await testService(t, { replicaOf: one, withoutJobs: ['kill-switch'] });
const { call, database } = one;

async function agentsIn(workspaceId: string): Promise<string[]> {
  const base = `/v1/workspaces/${workspaceId}/agents`;
  const create = async () => (await call('kernel-admin', 'POST', base, { spec: { name: 'a' } })).body.id;
  return (await Promise.all(Array.from({ length: AGENTS }, create))).map((id) => `${base}/${id}`);
}

async function running(): Promise<string[]> {
  const { rows } = await database.query(`SELECT id FROM agents WHERE status IN ('starting', 'running')`);
  return rows.map(({ id }) => id);
}

/** Starts until told otherwise; resolves with the answers to what was asked after the switch was engaged. */
function startsOf(path: string, engaged: { yet: boolean; enough: boolean }): Promise<Answer[]> {
  const late: Answer[] = [];
  const work = async () => {
    for (let turn = 0; !engaged.enough; turn += 1) {
      const isLate = engaged.yet;
      const answer = await (turn % 2 === 0 ? one : two).call('kernel-admin', 'POST', `${path}/start`, {});
      if (isLate) late.push(answer);
      if (!engaged.yet) await call('kernel-admin', 'POST', `${path}/stop`, {});
    }
    return late;
  };
  return work();
}

async function race(t: Test, switchPath: string, paths: readonly string[]): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const engaged = { yet: false, enough: false };
    const starts = paths.map((path) => startsOf(path, engaged));
    // One answer of each, so that all of them are under way.
    await Promise.all(paths.map((path) => one.call('operator', 'GET', `${path}/status`)));
    const answer = await two.call('kernel-admin', 'PUT', switchPath, { reason: 'it went wrong' });
    engaged.yet = true;
    t.match(answer, { status: 200, body: { engaged: true, stopping: false } });
    t.same(await running(), [], 'nothing runs once it is answered');
    await Promise.all(paths.map((path) => call('kernel-admin', 'POST', `${path}/start`, {})));
    engaged.enough = true;
    const late = (await Promise.all(starts)).flat();
    for (const { status, body } of late) t.same([status, body.code], [403, 'KILL_SWITCH']);
    t.same(await running(), [], 'nothing started afterwards');
    t.equal((await call('kernel-admin', 'DELETE', switchPath, { reason: 'it is mended' })).status, 200);
  }
}

t.test('starts race the switch of an agent', async (t) => {
  for (const path of (await agentsIn('demo')).slice(0, 2)) await race(t, `${path}/kill-switch`, [path]);
});

t.test('starts race the switch of a workspace', async (t) => {
  await race(t, '/v1/workspaces/demo/kill-switch', await agentsIn('demo'));
});

t.test('starts race the switch of all workspaces', async (t) => {
  await race(t, '/v1/kill-switch', [...(await agentsIn('demo')), ...(await agentsIn('other'))]);
});

/** A connection that row-level security does not bind, for a transaction that a test holds open. */
async function holder(t: Test): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  t.teardown(() => client.end());
  await client.query('BEGIN');
  return client;
}

async function until(what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) if ((await database.query(what)).rowCount !== 0) return;
  throw new Error(`never: ${what}`);
}

t.test('a start that was judged before is not committed after', async (t) => {
  const [path = ''] = await agentsIn('demo');
  for (const row of [`'demo', ''`, `'_system', ''`, `'demo', '${path.split('/').at(-1)}'`]) {
    const client = await holder(t);
    await client.query(`SELECT FROM audit_heads WHERE chain = 'demo' FOR UPDATE`);
    const start = call('kernel-admin', 'POST', `${path}/start`, {});
    await until(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%audit_open%'`);
    await client.query(`INSERT INTO kill_switches VALUES (${row}, now(), 'somebody', 1)`);
    await client.query('COMMIT');
    t.match(await start, { status: 403, body: { code: 'KILL_SWITCH' } }, row);
    await database.query('DELETE FROM kill_switches');
  }
});

t.test('the switch of all workspaces is answered when whoever was writing has written', async (t) => {
  const engage = () => call('kernel-admin', 'PUT', '/v1/kill-switch', { reason: 'it went wrong' });
  const client = await holder(t);
  await client.query('SELECT pg_current_xact_id()');
  let answered = false;
  const answer = engage().finally(() => {
    answered = true;
  });
  await until('SELECT FROM kill_switches');
  t.equal(answered, false, 'a start that has read its rows before may still be committed');
  await client.query('COMMIT');
  t.match(await answer, { status: 200, body: { stopping: false } });

  const slow = await holder(t);
  await slow.query('SELECT pg_current_xact_id()');
  t.match(await engage(), { status: 200, body: { engaged: true, stopping: true } }, 'but it does not wait for ever');
  await slow.query('COMMIT');
  await call('kernel-admin', 'DELETE', '/v1/kill-switch', { reason: 'it is mended' });
});

t.test('whoever began to write beside the switch of all workspaces is waited for, too', async (t) => {
  const before = await holder(t);
  await before.query(`INSERT INTO kill_switches VALUES ('_system', '', now(), 'somebody', 1)`);
  const answer = call('kernel-admin', 'PUT', '/v1/kill-switch', { reason: 'it went wrong' });
  await until(
    `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'insert into "kill_switches"%'`,
  );
  // Its number is higher than that of the switch, which it has not seen.
  const beside = await holder(t);
  await beside.query('SELECT pg_current_xact_id()');
  await before.query('ROLLBACK');
  t.match(await answer, { status: 200, body: { engaged: true, stopping: true } }, 'a start may still be committed');
  await beside.query('COMMIT');
  await call('kernel-admin', 'DELETE', '/v1/kill-switch', { reason: 'it is mended' });
});

t.test('no start of the log follows a switch that was engaged in its chain', async (t) => {
  const { rows } = await database.query(
    `SELECT seq::int, event_type AS type FROM audit_events WHERE chain = 'demo'
       AND (event_type = 'agent.start.allowed' OR event_type LIKE 'killswitch.%' AND payload ->> 'scope' = 'workspace')
     ORDER BY seq`,
  );
  let engaged = false;
  const wrong: number[] = [];
  for (const { seq, type } of rows) {
    if (type === 'agent.start.allowed') {
      if (engaged) wrong.push(seq);
    } else engaged = type === 'killswitch.engaged';
  }
  t.same(wrong, []);
  t.ok(rows.some(({ type }) => type === 'agent.start.allowed'));
});
