import t from 'tap';

import { sandboxWorld } from './support/world.ts';

const world = await sandboxWorld(t, { sandbox: { concurrency: 2, workspaceConcurrency: 1, queue: 2 } });
const { run, begin, until, isolation, call } = world;

t.test('what finds no room is refused, and nothing of it is run', async (t) => {
  const noisy = await world.agent('demo');
  const quiet = await world.agent('other');
  const held = await begin(noisy, { tests: ['hold'] });
  await until(noisy, held, 'running');
  const waiting = [await begin(noisy, { tests: ['echo 1'] }), await begin(noisy, { tests: ['echo 2'] })];
  const before = (await call('kernel-admin', 'GET', `/api/v1/agent/${noisy}/sandbox/runs`)).body.runs.length;
  for (const body of [{ tests: ['echo 3'], async: true }, { tests: ['echo 3'] }]) {
    const refused = await run(noisy, body);
    t.match(refused, { status: 503, body: { code: 'OVERLOADED' } }, refused.text);
    t.ok(Number(refused.headers['retry-after']) >= 1);
  }
  const after = (await call('kernel-admin', 'GET', `/api/v1/agent/${noisy}/sandbox/runs`)).body.runs.length;
  t.equal(after, before);
  t.notOk(isolation.ran.includes('echo 3'));
  t.match(await run(quiet, { tests: ['echo quiet'] }), { status: 200 }, 'another workspace has its place');
  t.match((await world.get(noisy, String(waiting[0]))).body, { status: 'queued' });
  isolation.releaseAll();
  for (const runId of [held, ...waiting]) await until(noisy, runId, 'passed');
  t.equal(isolation.open.most, 2);
});

t.test('who waits for an answer does not wait long for a place', async (t) => {
  const agentId = await world.agent();
  const held = await begin(agentId, { tests: ['hold'] });
  await until(agentId, held, 'running');
  const began = performance.now();
  const refused = await run(agentId, { tests: ['echo never'], timeout_seconds: 30 });
  t.match(refused, { status: 503, body: { code: 'OVERLOADED' } });
  const ms = performance.now() - began;
  t.ok(ms > 1500 && ms < 4000, `${ms} ms`);
  t.notOk(isolation.ran.includes('echo never'));
  isolation.releaseAll();
  await until(agentId, held, 'passed');
});

t.test('a workspace may allow itself fewer', async (t) => {
  const agentId = await world.agent();
  const settings = '/v1/workspaces/demo/settings';
  t.equal((await call('kernel-admin', 'PATCH', settings, { sandbox: { maxConcurrentRuns: 1 } })).status, 200);
  const held = await begin(agentId, { tests: ['hold'] });
  const second = await begin(agentId, { tests: ['echo a'] });
  await until(agentId, held, 'running');
  t.match((await world.get(agentId, second)).body, { status: 'queued' });
  isolation.releaseAll();
  await until(agentId, second, 'passed');
});

t.test('a workspace that allows none has none that wait', async (t) => {
  const agentId = await world.agent('other');
  const settings = '/v1/workspaces/other/settings';
  await call('kernel-admin', 'PATCH', settings, { sandbox: { maxConcurrentRuns: 0 } });
  for (const body of [{ tests: ['echo'], async: true }, { tests: ['echo'] }]) {
    t.match(await run(agentId, body), { status: 422, body: { errors: [{ detail: /allows no sandbox runs/ }] } });
  }
  t.same(world.service.app.sandboxRuns.stats(), { running: 0, waiting: 0 });
  await call('kernel-admin', 'PATCH', settings, { sandbox: null });
});
