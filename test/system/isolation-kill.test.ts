import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { processesWith } from '../conformance/isolation/statement.ts';
import { isolationTest } from '../support/isolation.ts';
import { until } from '../support/process.ts';
import { type Dev, devHome, startDev } from './dev.ts';

isolationTest(t);

/** ms; what ran isolated is gone this soon after its service. */
const GONE_MS = 1000;
/** ms until a new service has looked through what it found. */
const RECOVERED_MS = 30_000;
const AGENTS = '/v1/workspaces/demo/agents';
const AGENT_MARK = `agent-${process.pid}-${Date.now()}`;
const RUN_MARK = `run-${process.pid}-${Date.now()}`;
/** Ignores what it is told and has left its session: only the end of its namespace ends it. */
const stubborn = (mark: string) =>
  `trap '' TERM HUP; (setsid sh -c 'trap "" TERM HUP; sleep 600; : ${mark}' &); sleep 600; : ${mark}`;

t.test('kill -9 of the service ends what it isolates, and the next one clears up and goes on', async (t) => {
  const { home, env } = await devHome(t);
  const stateDir = join(home, 'runtime');
  const settings = { ...env, CASTELLAN_RUNTIME_DRIVER: 'bubblewrap', CASTELLAN_RUNTIME_STATE_DIR: stateDir };
  const first = await startDev(t, settings);
  const agentId = await startedAgent(first);
  const before = await statusOf(first, agentId);
  const runId = await startedRun(first, agentId);
  t.ok(processesWith(AGENT_MARK).length > 0 && processesWith(RUN_MARK).length > 0, 'both run');
  t.ok(mountsOf(stateDir).length >= 2, 'each has a mount');
  t.ok(cgroupsOf(first.ready.pid).length >= 2, 'and cgroups');

  const killed = performance.now();
  process.kill(first.ready.pid, 'SIGKILL');
  await until(
    'nothing of it runs',
    () => processesWith(AGENT_MARK).length + processesWith(RUN_MARK).length === 0,
    GONE_MS,
  );
  t.comment(`gone after ${Math.round(performance.now() - killed)} ms`);
  await first.running.exited;
  t.ok(mountsOf(stateDir).length >= 1 && cgroupsOf(first.ready.pid).length >= 1, 'there is something to clear up');

  const second = await startDev(t, settings);
  await until('the agent runs again', () => processesWith(AGENT_MARK).length > 0, RECOVERED_MS);
  t.same(cgroupsOf(first.ready.pid), [], 'no cgroup of the first');
  t.same(
    mountsOf(stateDir).filter((line) => line.includes(`castellan-${first.ready.pid}-`)),
    [],
    'no mount of it',
  );
  t.same(
    readdirSync(stateDir).filter((name) => name.startsWith(`castellan-${first.ready.pid}-`)),
    [],
    'no directory of it',
  );

  await until(
    'the run has ended',
    async () => (await runOf(second, agentId, runId)).status !== 'running',
    RECOVERED_MS,
  );
  t.match(await runOf(second, agentId, runId), {
    status: 'error',
    results: [{ result: 'setup_failed', exit_code: null }],
  });
  t.match((await events(second, 'sandbox.run.error')).at(-1), { runId, cause: 'replica_lost' });
  t.equal(processesWith(RUN_MARK).length, 0, 'it is not run again');

  const launches = (await events(second, 'agent.launched')).filter((event) => event['agentId'] === agentId);
  t.equal(launches.length, 2);
  const lost = { agentId, launchId: launches[0]?.['launchId'], cause: 'lost', exitCode: null, signal: null };
  const exits = (await events(second, 'agent.exited')).filter((event) => event['agentId'] === agentId);
  t.equal(exits.length, 1);
  t.match(exits, [lost]);
  await until('it is ready again', async () => (await statusOf(second, agentId)).status === 'running', RECOVERED_MS);
  const after = await statusOf(second, agentId);
  t.match(after, { readyReplicas: 1, lastExit: { cause: 'lost' } });
  t.ok(after.since > before.since, 'since it runs again');
  t.not(launches[0]?.['decisionId'], launches[1]?.['decisionId'], 'each through an admission of its own');
  const decision = `/v1/workspaces/demo/decisions/${launches[1]?.['decisionId']}`;
  t.match(await second.call('kernel-admin', 'GET', decision), {
    status: 200,
    body: { kind: 'launch', effect: 'ALLOW' },
  });

  process.kill(second.ready.pid, 'SIGTERM');
  t.equal((await second.running.exited).code, 0, second.running.stderr());
  t.equal(processesWith(AGENT_MARK).length, 0, 'agents of this machine end with their service');
  t.same([mountsOf(stateDir), cgroupsOf(second.ready.pid)], [[], []]);
});

async function startedAgent({ call }: Dev): Promise<string> {
  const spec = { name: 'watched', runtime: { command: ['/bin/sh', '-c', stubborn(AGENT_MARK)] } };
  const created = await call('operator', 'POST', AGENTS, { spec });
  if (created.status !== 201) throw new Error(created.text);
  const id = String(created.body.id);
  const started = await call('operator', 'POST', `${AGENTS}/${id}/start`);
  if (started.status !== 200) throw new Error(started.text);
  await until('the agent runs', async () => {
    const { body } = await call('operator', 'GET', `${AGENTS}/${id}/status`);
    return body.status === 'running' && processesWith(AGENT_MARK).length > 1;
  });
  return id;
}

async function statusOf({ call }: Dev, agentId: string) {
  return (await call('operator', 'GET', `${AGENTS}/${agentId}/status`)).body;
}

async function startedRun({ call }: Dev, agentId: string): Promise<string> {
  const body = { tests: [stubborn(RUN_MARK)], timeout_seconds: 300, async: true };
  const begun = await call('operator', 'POST', `/api/v1/agent/${agentId}/sandbox/run`, body);
  if (begun.status !== 202) throw new Error(begun.text);
  await until('the run runs', () => processesWith(RUN_MARK).length > 1);
  return String(begun.body.run_id);
}

async function runOf({ call }: Dev, agentId: string, runId: string) {
  const { status, body, text } = await call('operator', 'GET', `/api/v1/agent/${agentId}/sandbox/runs/${runId}`);
  if (status !== 200) throw new Error(text);
  return body;
}

async function events({ call }: Dev, type: string): Promise<Record<string, unknown>[]> {
  const { body } = await call('auditor', 'GET', `/v1/workspaces/demo/audit/events?type=${type}`);
  return body.events.map((event: { payload: Record<string, unknown> }) => event.payload);
}

function mountsOf(dir: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(dir));
}

/** Each cgroup has this one file. */
function cgroupsOf(pid: number): string[] {
  return readdirSync('/sys/fs/cgroup', { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.includes(`castellan-${pid}-`) && path.endsWith('/cgroup.procs'),
  );
}
