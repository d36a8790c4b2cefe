import t from 'tap';

import { closeInheritedDescriptors } from '../../src/boot/descriptors.ts';
import { defaultRuntime } from '../../src/config.ts';
import { helpersOf, sandboxPath } from '../sandbox-runs/support/world.ts';
import { isolationTest } from '../support/isolation.ts';
import { testService } from '../support/service.ts';

isolationTest(t);
// As the service does when it starts.
closeInheritedDescriptors();

const CANARY = 'canary-of-the-service-7f3a';
process.env['CASTELLAN_TEST_CANARY'] = CANARY;
const runtime = { ...defaultRuntime(), driver: 'bubblewrap' as const };
const service = await testService(t, {
  runtime: { ...runtime, bubblewrap: { ...runtime.bubblewrap, degradedLimits: true } },
});
const { call, database } = service;
const { agent, run, begin, until, events } = helpersOf(service);
const agentId = await agent();
const path = `/api/v1/agent/${agentId}/sandbox`;

t.test('commands run in one working directory, with what they were given and nothing else', async (t) => {
  const answer = await run(agentId, {
    tests: [
      'echo hello',
      'echo kept > file',
      'cat file; pwd',
      'exit 7',
      'kill -SEGV $$',
      'env',
      'echo out; echo err >&2',
    ],
    env: { MINE: 'my value' },
    timeout_seconds: 30,
  });
  t.equal(answer.status, 200, answer.text);
  const { results, status, isolation } = answer.body;
  t.equal(status, 'failed');
  t.match(isolation, { driver: 'bubblewrap', network: 'none' });
  t.match(results, [
    { result: 'ok', exit_code: 0, stdout: 'hello\n' },
    { result: 'ok' },
    { result: 'ok', stdout: 'kept\n/workspace\n' },
    { result: 'failed', exit_code: 7 },
    { result: 'failed', signal: /SEGV/ },
    { result: 'ok', stdout: /^MINE=my value$/m },
    { stdout: 'out\n', stderr: 'err\n' },
  ]);
});

t.test('no secret of the service is inside', async (t) => {
  const answer = await run(agentId, {
    tests: [
      'cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr "\\0" "\\n"',
      'grep -rs canary-of-the-service / --include=* -l --exclude-dir=proc --exclude-dir=sys --exclude-dir=usr | head',
      'ls -a / /run /run/secrets /tmp /workspace 2>&1',
    ],
    timeout_seconds: 60,
  });
  t.equal(answer.body.status === 'error', false, answer.text);
  // The commands themselves name it in part.
  t.notMatch(JSON.stringify(answer.body.results), new RegExp(`${CANARY}|DATABASE_URL|postgres://|CASTELLAN_`));
  const { rows } = await database.query('SELECT convert_from(results, $2) AS kept FROM sandbox_runs WHERE id = $1', [
    answer.body.run_id,
    'UTF8',
  ]);
  t.notMatch(rows[0].kept, new RegExp(CANARY));
});

t.test('its time is kept, and what was written by then', async (t) => {
  const began = performance.now();
  const answer = await run(agentId, { tests: ['echo before; sleep 60', 'echo never'], timeout_seconds: 1 });
  t.match(answer.body, {
    status: 'timeout',
    results: [{ result: 'timeout', stdout: 'before\n' }, { result: 'timeout' }],
  });
  t.ok(performance.now() - began < 5000);
});

t.test('a run is cancelled, and a kill switch ends it', async (t) => {
  for (const [cause, stop] of [
    ['caller', (runId: string) => call('operator', 'POST', `${path}/runs/${runId}/cancel`)],
    [
      'kill_switch',
      () => call('kernel-admin', 'PUT', `/v1/workspaces/demo/agents/${agentId}/kill-switch`, { reason: 'stop' }),
    ],
  ] as const) {
    const runId = await begin(agentId, { tests: ['echo begun; sleep 600'] });
    await until(agentId, runId, 'running');
    const began = performance.now();
    await stop(runId);
    const ended = await until(agentId, runId, 'killed', 'passed', 'failed');
    t.ok(performance.now() - began < 2000, `${cause}: ${performance.now() - began} ms`);
    t.match(ended.body, { status: 'killed', cause, results: [{ result: 'cancelled' }] });
    t.match((await events(runId)).at(-1), { type: 'sandbox.run.cancelled' });
  }
  t.equal((await run(agentId, { tests: ['true'] })).status, 403);
  await call('kernel-admin', 'DELETE', `/v1/workspaces/demo/agents/${agentId}/kill-switch`, { reason: 'go' });
});

t.test('output can be followed', async (t) => {
  const runId = await begin(agentId, { tests: ['echo one; sleep 0.3; echo two >&2'] });
  const read = await call('operator', 'GET', sandboxPath(agentId, `runs/${runId}/output`));
  t.match(read.text, /event: stdout\ndata: \{"index":0,"text":"one\\n"\}/);
  t.match(read.text, /event: stderr\ndata: \{"index":0,"text":"two\\n"\}/);
  t.match(read.text, /event: end\ndata: .*"status":"passed"/);
});

t.test('many at once', async (t) => {
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, n) => run(agentId, { tests: [`echo ${n}`], timeout_seconds: 20 })),
  );
  for (const answer of answers) {
    if (answer.status === 503) t.equal(answer.body.code, 'OVERLOADED');
    else t.equal(answer.body.status, 'passed', answer.text);
  }
});

t.test('the ledger of it all is whole', async (t) => {
  t.equal((await call('auditor', 'POST', '/v1/workspaces/demo/audit/verify')).body.ok, true);
});
