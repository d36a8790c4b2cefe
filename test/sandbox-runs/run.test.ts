import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';

import { newId } from '../../src/ids.ts';
import { sandboxPath, sandboxWorld } from './support/world.ts';

const world = await sandboxWorld(t);
const { call, run, begin, get, until, events, isolation, database } = world;

t.test('a run answers with what came of its commands', async (t) => {
  const agentId = await world.agent();
  const answer = await run(agentId, {
    tests: ['echo hello', 'exit 3', 'err late'],
    timeout_seconds: 30,
    env: { A: '1' },
  });
  t.equal(answer.status, 200, answer.text);
  const { run_id: runId, results, limits, isolation: isolated, status } = answer.body;
  t.equal(status, 'failed', 'the worst counts');
  t.match(results, [
    { command: 'echo hello', result: 'ok', exit_code: 0, stdout: 'hello\n', stderr: '', truncated: false },
    { command: 'exit 3', result: 'failed', exit_code: 3, stdout: '' },
    { command: 'err late', result: 'ok', stderr: 'late\n' },
  ]);
  t.same(Object.keys(results[0]).sort(), [
    ...['command', 'duration_ms', 'exit_code', 'result', 'stderr', 'stdout', 'truncated', 'usage'],
  ]);
  t.same(limits, { cpu: 1, memoryMb: 512, pids: 128, diskMb: 256, timeout_seconds: 30, output_bytes: 67_108_864 });
  t.same(isolated, { driver: 'bubblewrap', version: '0.8.0', limits: 'enforced', network: 'none' });
  t.match(await get(agentId, runId), { status: 200, body: { run_id: runId, status: 'failed', results } });
  t.match(isolation.requests.at(-1), { workspaceId: 'demo', agentId, runId, env: { A: '1' }, allowDomains: [] });
  t.match(await events(runId), [
    {
      type: 'sandbox.run.created',
      actor: 'kernel-admin',
      payload: { agentId, runId, commands: 3, timeoutSeconds: 30 },
    },
    { type: 'sandbox.run.failed', actor: 'castellan', payload: { status: 'failed', results: ['ok', 'failed', 'ok'] } },
  ]);
  t.equal(isolation.open.now, 0, 'nothing is left open');
});

t.test('every outcome has its status and its event', async (t) => {
  const agentId = await world.agent();
  const cases: readonly [string[], string, string][] = [
    [['echo a'], 'passed', 'sandbox.run.completed'],
    [['exit 1', 'oom'], 'killed', 'sandbox.run.killed'],
    [['output_limit'], 'killed', 'sandbox.run.killed'],
    [['disk_limit', 'exit 1'], 'killed', 'sandbox.run.killed'],
    [['oom', 'setup_failed', 'echo a'], 'error', 'sandbox.run.error'],
  ];
  for (const [tests, status, type] of cases) {
    const answer = await run(agentId, { tests });
    t.match(answer, { status: 200, body: { status } }, tests.join());
    t.match((await events(answer.body.run_id)).at(-1), { type, payload: { status } });
  }
});

t.test('when the time is over the rest is not run', async (t) => {
  const agentId = await world.agent();
  const before = isolation.ran.length;
  const answer = await run(agentId, { tests: ['echo a', 'sleep 20000', 'echo b'], timeout_seconds: 1 });
  t.match(answer, { status: 200, body: { status: 'timeout' } });
  t.same(
    answer.body.results.map(({ result }: { result: string }) => result),
    ['ok', 'timeout', 'timeout'],
  );
  t.equal(isolation.ran.length - before, 2);
  t.equal((await events(answer.body.run_id)).at(-1)?.type, 'sandbox.run.timeout');
});

t.test('what is asked for is bounded', async (t) => {
  const agentId = await world.agent();
  const patch = { sandbox: { maxMemoryMb: 128, maxTimeoutSeconds: 40, allowDomains: ['*.example.org'] } };
  t.match(await call('kernel-admin', 'PATCH', '/v1/workspaces/demo/settings', patch), { status: 200, body: patch });
  const refused: readonly [object, number, string][] = [
    [{ tests: [] }, 400, '/tests'],
    [{ tests: Array.from({ length: 51 }, () => 'true') }, 400, '/tests'],
    [{ tests: ['x'.repeat(16_385)] }, 400, '/tests/0'],
    [{ tests: ['é'.repeat(9000)] }, 400, '/tests/0'],
    [{ tests: Array.from({ length: 20 }, () => 'x'.repeat(16_000)) }, 400, '/tests'],
    [{ tests: ['true'], env: { 'A B': 'x' } }, 400, ''],
    [
      { tests: ['true'], env: Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`A${n}`, 'x'.repeat(8000)])) },
      400,
      '/env',
    ],
    [{ tests: ['true'], timeout_seconds: 0 }, 400, '/timeout_seconds'],
    [{ tests: ['true'], timeout_seconds: 901 }, 400, '/timeout_seconds'],
    [{ tests: ['true'], actor: 'root' }, 400, '/actor'],
    [{ tests: ['true'], env: { A: 'secretRef:n' } }, 422, '/env/A'],
    [{ tests: ['true'], timeout_seconds: 41 }, 422, '/timeout_seconds'],
    [{ tests: ['true'], resources: { memoryMb: 129 } }, 422, '/resources/memoryMb'],
    [{ tests: ['true'], network: { allowDomains: ['example.org'] } }, 422, '/network/allowDomains/0'],
  ];
  for (const [body, status, pointer] of refused) {
    const answer = await run(agentId, body);
    t.equal(answer.status, status, `${JSON.stringify(body).slice(0, 60)}: ${answer.text.slice(0, 300)}`);
    if (pointer !== '') t.equal(answer.body.errors[0].pointer, pointer);
  }
  t.match(await run(agentId, { tests: ['a\u0000b'] }), { status: 400, body: { code: 'MALFORMED_JSON' } });
  const { rows } = await database.query('SELECT count(*)::int AS n FROM sandbox_runs WHERE agent_id = $1', [agentId]);
  t.equal(rows[0].n, 0, 'nothing was kept');

  const network = { allowDomains: ['a.example.org'] };
  const allowed = await run(agentId, { tests: ['connect a.example.org', 'connect b.example.org'], network });
  t.match(allowed.body, {
    status: 'failed',
    limits: { memoryMb: 128, timeout_seconds: 40 },
    isolation: { network: 'allowlist' },
    connections: [
      { host: 'a.example.org', verdict: 'allowed' },
      { host: 'b.example.org', code: 'NOT_ON_ALLOWLIST' },
    ],
  });
  t.match((await events(allowed.body.run_id)).at(-1)?.payload['connections'], { allowed: 1, denied: 1 });
  await call('kernel-admin', 'PATCH', '/v1/workspaces/demo/settings', { sandbox: null });
});

t.test('what is kept is bounded', async (t) => {
  const agentId = await world.agent();
  const answer = await run(agentId, { tests: ['flood 3000000', 'flood 3000000', 'echo end'] });
  const [first, second, last] = answer.body.results;
  t.equal(first.truncated, true);
  t.ok(first.stdout.length < 2_200_000);
  t.ok(second.stdout.length < 2000, 'nothing much is left for the others');
  t.match(last, { stdout: 'end\n', truncated: false });
});

t.test('a command may write anything', async (t) => {
  const answer = await run(await world.agent(), { tests: ['binary', 'echo end'], timeout_seconds: 1 });
  t.match(answer.body, { status: 'passed', results: [{ stdout: 'a\ufffd\ufffdb' }, { stdout: 'end\n' }] }, answer.text);
});

t.test('an asynchronous run is found, listed and cancelled', async (t) => {
  const agentId = await world.agent();
  const begun = await run(agentId, { tests: ['hold', 'echo b'], async: true });
  t.equal(begun.status, 202, begun.text);
  const runId = begun.body.run_id;
  t.same(begun.body, { run_id: runId, status: 'queued' });
  t.equal(begun.headers.location, sandboxPath(agentId, `runs/${runId}`));
  t.match(await until(agentId, runId, 'running'), { body: { results: [], started_at: String } });
  const cancelled = await call('operator', 'POST', sandboxPath(agentId, `runs/${runId}/cancel`));
  t.match(cancelled, { status: 200, body: { status: 'killed', cause: 'caller' } });
  t.match(cancelled.body.results, [
    { result: 'cancelled', stdout: 'held\n' },
    { result: 'cancelled', stdout: '' },
  ]);
  t.match(await events(runId), [
    { type: 'sandbox.run.created' },
    { type: 'sandbox.run.cancelled', payload: { cause: 'caller', cancelledBy: 'operator' } },
  ]);
  const again = await call('operator', 'POST', sandboxPath(agentId, `runs/${runId}/cancel`), {});
  t.same(again.body, cancelled.body, 'again it stays as it is');
  t.equal((await events(runId)).length, 2);

  const second = await begin(agentId, { tests: ['echo x'] });
  await until(agentId, second, 'passed');
  const page = await call('auditor', 'GET', `${sandboxPath(agentId, 'runs')}?limit=1`);
  t.match(page.body, { runs: [{ run_id: runId, status: 'killed' }] });
  t.equal('results' in page.body.runs[0], false);
  const next = await call('auditor', 'GET', `${sandboxPath(agentId, 'runs')}?limit=1&cursor=${page.body.next_cursor}`);
  t.match(next.body, { runs: [{ run_id: second }], next_cursor: null });
  const passed = await call('auditor', 'GET', `${sandboxPath(agentId, 'runs')}?status=passed`);
  t.equal(passed.body.runs.length, 1);
});

t.test('what is not there, or not the caller\u2019s, is not found', async (t) => {
  const agentId = await world.agent();
  const other = await world.agent();
  const runId = await begin(other, { tests: ['echo a'] });
  await until(other, runId, 'passed');
  for (const [id, one] of [
    [agentId, runId],
    [agentId, newId()],
    [newId(), runId],
    ['x', runId],
    [agentId, 'x'],
  ]) {
    t.equal((await call('kernel-admin', 'GET', sandboxPath(String(id), `runs/${one}`))).status, 404);
    t.equal((await call('kernel-admin', 'GET', sandboxPath(String(id), `runs/${one}/output`))).status, 404);
    t.equal((await call('kernel-admin', 'POST', sandboxPath(String(id), `runs/${one}/cancel`))).status, 404);
  }
  t.equal((await run(newId(), { tests: ['echo a'] })).status, 404);
  t.equal((await call('outsider', 'GET', sandboxPath(other, `runs/${runId}`))).status, 404);
  t.equal((await call('auditor', 'POST', sandboxPath(agentId, 'run'), { tests: ['echo a'] })).status, 403);
});

t.test('a key is one run', async (t) => {
  const agentId = await world.agent();
  const headers = { 'idempotency-key': 'one' };
  const first = await run(agentId, { tests: ['echo a'] }, headers);
  const again = await run(agentId, { tests: ['echo a'] }, headers);
  t.same([again.status, again.text], [200, first.text]);
  t.equal(again.headers['idempotent-replayed'], 'true');
  t.equal((await run(agentId, { tests: ['echo b'] }, headers)).status, 422);
  const later = { tests: ['echo a'], async: true };
  const queued = await run(agentId, later, { 'idempotency-key': 'two' });
  t.same((await run(agentId, later, { 'idempotency-key': 'two' })).body, queued.body);
  await until(agentId, queued.body.run_id, 'passed');

  // As after a crash: the run is there, the answer was never kept.
  await database.query(`DELETE FROM idempotency_keys WHERE item = ''`);
  const third = await run(agentId, { tests: ['echo a'] }, headers);
  t.equal(third.body.run_id, first.body.run_id, third.text);
  t.same(third.body.results, first.body.results);
});

t.test('an agent is deleted with its runs, and not while one is open', async (t) => {
  const agentId = await world.agent();
  const path = `/v1/workspaces/demo/agents/${agentId}`;
  const runId = await begin(agentId, { tests: ['hold'] });
  await until(agentId, runId, 'running');
  t.match(await call('kernel-admin', 'DELETE', path), { status: 409, body: { code: 'AGENT_RUNNING' } });
  isolation.releaseAll();
  await until(agentId, runId, 'passed');
  t.equal((await call('kernel-admin', 'DELETE', path)).status, 204);
  const { rows } = await database.query('SELECT count(*)::int AS n FROM sandbox_runs WHERE agent_id = $1', [agentId]);
  t.equal(rows[0].n, 0);
});

t.test('runs that were kept long enough are deleted', async (t) => {
  const agentId = await world.agent();
  const old = (await run(agentId, { tests: ['echo a'] })).body.run_id;
  const fresh = (await run(agentId, { tests: ['echo a'] })).body.run_id;
  await database.query(`UPDATE sandbox_runs SET ended_at = now() - interval '31 days' WHERE id = $1`, [old]);
  await world.service.app.sandboxRuns.prune(new AbortController().signal);
  t.equal((await get(agentId, old)).status, 404);
  t.equal((await get(agentId, fresh)).status, 200);
});

t.test('nothing is run where isolation cannot be had', async (t) => {
  const agentId = await world.agent();
  const problem = { check: 'user-namespaces', observed: 'EPERM', fix: 'sysctl' };
  isolation.setState({ available: false, problem });
  t.match(await run(agentId, { tests: ['echo a'] }), {
    status: 503,
    body: { code: 'ISOLATION_UNAVAILABLE', ...problem },
  });
  t.equal((await run(agentId, { tests: ['echo a'], async: true })).status, 503);
  const { rows } = await database.query('SELECT count(*)::int AS n FROM sandbox_runs WHERE agent_id = $1', [agentId]);
  t.equal(rows[0].n, 0, 'and nothing is kept');
  isolation.setState({ available: true, limits: 'degraded', version: '0.8.0' });
  t.match((await run(agentId, { tests: ['echo a'] })).body, { isolation: { limits: 'degraded' } });
  isolation.breakOpening(true);
  const broken = await run(agentId, { tests: ['echo a', 'echo b'] });
  t.match(broken.body, {
    status: 'error',
    cause: 'isolation',
    results: [{ result: 'setup_failed' }, { result: 'setup_failed' }],
  });
  isolation.breakOpening(false);
  isolation.setState({ available: true, limits: 'enforced', version: '0.8.0' });
});

t.test('a caller that goes away leaves the run to its end', async (t) => {
  const agentId = await world.agent();
  const answered = run(agentId, { tests: ['hold'] });
  const deadline = performance.now() + 10_000;
  while (isolation.open.now === 0 && performance.now() < deadline) await delay(10);
  t.equal(world.service.app.limits.stats().lanes.write.inFlight, 0, 'it holds no place of the lane');
  isolation.releaseAll();
  t.match((await answered).body, { status: 'passed' });
});
