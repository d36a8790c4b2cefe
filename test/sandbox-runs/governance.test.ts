import t, { type Test } from 'tap';

import { sandboxPath, sandboxWorld } from './support/world.ts';

const world = await sandboxWorld(t, { sandbox: { workspaceConcurrency: 2 } });
const { call, run, begin, until, events, isolation, database } = world;
const REASON = { reason: 'it went wrong' };
const TESTS = { tests: ['echo a'] };

async function denied(t: Test, agentId: string, code: string, deny: string): Promise<void> {
  const before = await count(agentId);
  for (const body of [TESTS, { ...TESTS, async: true }]) {
    const answer = await run(agentId, body);
    t.match(answer, { status: 403, body: { code, denies: [{ code: deny }], decisionId: String } }, answer.text);
    const { decisionId } = answer.body;
    t.match(await call('auditor', 'GET', `/v1/workspaces/demo/decisions/${decisionId}`), {
      status: 200,
      body: { kind: 'sandbox.run', action: 'sandbox.run', effect: 'DENY', agentId },
    });
    const event = (await events()).findLast(({ type }) => type === 'sandbox.run.denied');
    t.match(event, { actor: 'kernel-admin', payload: { agentId, decisionId, denies: [{ code: deny }] } });
  }
  t.equal(await count(agentId), before, 'nothing was run');
}

async function count(agentId: string): Promise<number> {
  const { rows } = await database.query('SELECT count(*)::int AS n FROM sandbox_runs WHERE agent_id = $1', [agentId]);
  return rows[0].n;
}

/** A run that is under way, and one of the same agent that waits for its place. */
async function busy(agentId: string): Promise<{ running: string; queued: string }> {
  const running = await begin(agentId, { tests: ['hold'] });
  await begin(agentId, { tests: ['hold'] });
  const queued = await begin(agentId, { tests: ['echo a'] });
  await until(agentId, running, 'running');
  return { running, queued };
}

async function stopsBoth(t: Test, agentId: string, cause: string, act: () => Promise<unknown>): Promise<void> {
  const { running, queued } = await busy(agentId);
  const began = performance.now();
  await act();
  for (const runId of [running, queued]) {
    const ended = await until(agentId, runId, 'killed', 'passed');
    t.match(ended.body, { status: 'killed', cause, results: [{ result: 'cancelled' }] });
    t.match((await events(runId)).at(-1), { type: 'sandbox.run.cancelled', payload: { cause } });
  }
  t.ok(performance.now() - began < 2000, `${performance.now() - began} ms`);
  await until(agentId, running, 'killed');
  while (isolation.open.now > 0) await new Promise((resolve) => setTimeout(resolve, 10));
}

t.test('kill switches', async (t) => {
  for (const path of ['/v1/kill-switch', '/v1/workspaces/demo/kill-switch', undefined]) {
    const agentId = await world.agent();
    const target = path ?? `/v1/workspaces/demo/agents/${agentId}/kill-switch`;
    await stopsBoth(t, agentId, 'kill_switch', () => call('kernel-admin', 'PUT', target, REASON));
    await denied(t, agentId, 'KILL_SWITCH', 'KILL_SWITCH');
    t.equal((await call('kernel-admin', 'DELETE', target, REASON)).status, 200);
    t.equal((await run(agentId, TESTS)).status, 200, 'cleared');
  }
});

t.test('a quarantine', async (t) => {
  const agentId = await world.agent();
  const path = `/v1/workspaces/demo/agents/${agentId}/quarantine`;
  await stopsBoth(t, agentId, 'quarantine', () => call('kernel-admin', 'POST', path, REASON));
  await denied(t, agentId, 'AGENT_QUARANTINED', 'AGENT_QUARANTINED');
});

t.test('the time of a sandbox agent', async (t) => {
  const agentId = await world.agent();
  const expire = () =>
    database.query(`UPDATE agents SET expires_at = now() - interval '1 second' WHERE id = $1`, [agentId]);
  await stopsBoth(t, agentId, 'expiry', expire);
  await denied(t, agentId, 'ADMISSION_DENIED', 'SANDBOX_EXPIRED');
});

t.test('an edited spec', async (t) => {
  const agentId = await world.agent();
  await database.query(`UPDATE agent_specs SET spec_bytes = '{"name":"b"}' WHERE agent_id = $1`, [agentId]);
  await denied(t, agentId, 'ADMISSION_DENIED', 'SPEC_HASH_MISMATCH');
});

t.test('a suspension', async (t) => {
  const agentId = await world.agent();
  await stopsBoth(t, agentId, 'suspension', () => call('kernel-admin', 'POST', '/v1/workspaces/demo/suspend', REASON));
  await denied(t, agentId, 'WORKSPACE_SUSPENDED', 'WORKSPACE_SUSPENDED');
  t.equal((await call('kernel-admin', 'POST', '/v1/workspaces/demo/resume', REASON)).status, 200);
});

t.test('a run that waits is asked about again when its turn has come', async (t) => {
  const agentId = await world.agent();
  const other = await world.agent();
  const held = [await begin(other, { tests: ['hold'] }), await begin(other, { tests: ['hold'] })];
  const queued = await begin(agentId, { tests: ['echo never'] });
  await database.query(`INSERT INTO kill_switches VALUES ('demo', $1, now(), 'somebody', 1)`, [agentId]);
  isolation.releaseAll();
  for (const runId of held) await until(other, runId, 'passed');
  t.match((await until(agentId, queued, 'killed', 'passed')).body, { status: 'killed', cause: 'kill_switch' });
  t.notOk(isolation.ran.includes('echo never'));
});

t.test('a run that waits is cancelled at once', async (t) => {
  const agentId = await world.agent();
  const { running, queued } = await busy(agentId);
  const answer = await call('operator', 'POST', sandboxPath(agentId, `runs/${queued}/cancel`));
  t.match(answer, { status: 200, body: { status: 'killed', cause: 'caller', results: [{ result: 'cancelled' }] } });
  t.match((await events(queued)).at(-1), { actor: 'operator', payload: { cancelledBy: 'operator' } });
  isolation.releaseAll();
  await until(agentId, running, 'passed');
  t.equal((await events(queued)).length, 2);
});
