import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';

import { newId } from '../../src/ids.ts';
import { createHost } from '../../src/sandbox-runs/hosts.ts';
import { testService } from '../support/service.ts';
import { scriptedIsolation } from './support/scripted-isolation.ts';
import { helpersOf, sandboxPath, sandboxWorld } from './support/world.ts';

const world = await sandboxWorld(t, { sandbox: { concurrency: 1, workspaceConcurrency: 1 } });
const { begin, until, events, database, call } = world;

/** Takes an open run from its process, and gives it to one that is not there. */
async function orphan(runId: string, host: { beat: string; place?: string; pid?: number }): Promise<string> {
  const owner = newId();
  await database.query(`INSERT INTO sandbox_hosts VALUES ($1, $2, $3, now() - $4::interval)`, [
    owner,
    host.place ?? null,
    host.pid ?? null,
    host.beat,
  ]);
  await database.query('UPDATE sandbox_runs SET owner = $1 WHERE id = $2', [owner, runId]);
  return owner;
}

async function insertOrphan(agentId: string, host: Parameters<typeof orphan>[1]): Promise<string> {
  const made = (await world.run(agentId, { tests: ['echo a', 'echo b'] })).body.run_id;
  await database.query(
    `UPDATE sandbox_runs SET status = 'running', ended_at = NULL, results = NULL, results_digest = NULL WHERE id = $1`,
    [made],
  );
  await orphan(made, host);
  return made;
}

t.test('the run of a process that is gone is recorded as an error', async (t) => {
  const agentId = await world.agent();
  const runId = await insertOrphan(agentId, { beat: '1 hour' });
  const began = performance.now();
  const ended = await until(agentId, runId, 'error', 'passed');
  t.ok(performance.now() - began < 15_000);
  t.match(ended.body, {
    status: 'error',
    cause: 'replica_lost',
    results: [{ command: 'echo a', result: 'setup_failed' }, { result: 'setup_failed' }],
  });
  t.match((await events(runId)).at(-1), { type: 'sandbox.run.error', payload: { cause: 'replica_lost' } });
});

t.test('a process of the same machine that is gone is noticed without its silence', async (t) => {
  const { place } = createHost({ call: async () => [] }, () => 0);
  if (place === undefined) {
    t.comment(`${hostname()} has no /proc`);
    return;
  }
  const agentId = await world.agent();
  const alive = await insertOrphan(agentId, { beat: '0 seconds', place, pid: process.pid });
  const runId = await insertOrphan(agentId, { beat: '0 seconds', place, pid: 2 ** 22 + 1 });
  await world.service.app.sandboxRuns.recover(new AbortController().signal);
  t.match((await world.get(agentId, runId)).body, { status: 'error', cause: 'replica_lost' });
  t.match((await world.get(agentId, alive)).body, { status: 'running' });
  t.ok(world.isolation.discarded.includes(runId), 'and what it has left elsewhere is removed');
  t.notOk(world.isolation.discarded.includes(alive));
});

t.test('one that was only silent gets time for a sign of life', async (t) => {
  const host = createHost({ call: async () => [] }, () => 0);
  const run = {
    workspace_id: 'demo',
    id: newId(),
    agent_id: newId(),
    owner: newId(),
    commands: [],
    beat_at: new Date(1),
    is_silent: true,
    place: null,
    pid: null,
  };
  t.same(host.lost([run]), []);
  t.same(host.lost([{ ...run, beat_at: new Date(2) }]), [], 'it has said something since');
  t.equal(host.lost([{ ...run, beat_at: new Date(2) }]).length, 1);
});

t.test('a process that has lost its run lets go of it', async (t) => {
  const agentId = await world.agent();
  const runId = await begin(agentId, { tests: ['hold'] });
  await until(agentId, runId, 'running');
  await database.query(
    `UPDATE sandbox_runs SET status = 'error', cause = 'replica_lost', ended_at = now(), results = '{}',
       results_digest = 'sha256:' || encode(sha256('{}'), 'hex') WHERE id = $1`,
    [runId],
  );
  const deadline = performance.now() + 5000;
  while (world.isolation.open.now > 0 && performance.now() < deadline) await delay(10);
  t.equal(world.isolation.open.now, 0);
  t.match((await world.get(agentId, runId)).body, { status: 'error', cause: 'replica_lost' }, 'it stays as it is');
});

t.test('what is open when the service closes is cancelled, with its event', async (t) => {
  const isolation = scriptedIsolation();
  const sandbox = { concurrency: 1, workspaceConcurrency: 1, queue: 4, retentionDays: 1 };
  const replica = await testService(t, { replicaOf: world, isolation, runtime: { sandbox } });
  const there = helpersOf(replica);
  const agentId = await world.agent();
  const running = await there.begin(agentId, { tests: ['hold', 'echo a'] });
  const queued = await there.begin(agentId, { tests: ['echo b'] });
  await there.until(agentId, running, 'running');
  const reading = replica.call('operator', 'GET', sandboxPath(agentId, `runs/${running}/output`));
  await delay(200);
  const began = performance.now();
  replica.service.drain();
  await replica.service.close();
  t.ok(performance.now() - began < 10_000);
  t.match((await reading).text, /"status":"killed","cause":"shutdown"/);
  for (const runId of [running, queued]) {
    t.match((await world.get(agentId, runId)).body, { status: 'killed', cause: 'shutdown' });
    t.match((await events(runId)).at(-1), { type: 'sandbox.run.cancelled', payload: { cause: 'shutdown' } });
  }
  t.equal(isolation.open.now, 0);
});

t.test('nothing of the service is in what a run is given or what is kept of it', async (t) => {
  const agentId = await world.agent();
  process.env['CASTELLAN_CANARY'] = 'canary-of-the-service';
  const answer = await world.run(agentId, { tests: ['env'], env: { MINE: 'my-own-value' } });
  delete process.env['CASTELLAN_CANARY'];
  t.same(JSON.parse(answer.body.results[0].stdout), { MINE: 'my-own-value' });
  const { rows } = await database.query(
    `SELECT r::text AS run, (SELECT string_agg(e.payload::text, '') FROM audit_events e WHERE e.event_type LIKE 'sandbox.%') AS events
     FROM sandbox_runs r WHERE r.id = $1`,
    [answer.body.run_id],
  );
  t.notMatch(rows[0].run, /canary-of-the-service|DATABASE_URL|postgres:/);
  t.notMatch(rows[0].events, /canary-of-the-service|my-own-value/, 'nor any value of the environment in an event');
});

t.test('figures', async (t) => {
  const text = await (await fetch(`${world.service.opsUrl}/metrics`)).text();
  t.match(text, /castellan_sandbox_runs_total\{status="passed"\} [1-9]/);
  t.match(text, /castellan_sandbox_run_duration_seconds_count [1-9]/);
  t.match(text, /castellan_sandbox_queue_depth 0\n/);
  t.match(text, /castellan_sandbox_running 0\n/);
  t.equal((await call('auditor', 'POST', '/v1/workspaces/demo/audit/verify')).body.ok, true);
});
