import t from 'tap';

import { isolationOf, scriptedHost } from './scripted.ts';
import { RUN_SPEC, supervisedWorld, until } from './world.ts';

const host = scriptedHost();
const isolation = isolationOf(host);
const world = await supervisedWorld(t, isolation);
const { act, agent, call, database, events, governed, status } = world;

const isRunning =
  (path: string, ready = 1) =>
  async () => {
    const now = await status(path);
    return now.status === 'running' && now.readyReplicas === ready;
  };
const has = (path: string, wanted: string) => async () => (await status(path)).status === wanted;
const idOf = (path: string) => path.split('/').at(-1) ?? '';
const processesOf = (path: string) => host.running.filter(({ request }) => request.agentId === idOf(path));

async function started(spec?: object, ttlSeconds?: number): Promise<string> {
  const path = await agent(spec, ttlSeconds);
  const { body } = await act(path, 'start');
  if (body.status !== 'starting' || body.managed !== true) throw new Error(`not managed: ${JSON.stringify(body)}`);
  await until('it runs', isRunning(path));
  return path;
}

t.test('a start becomes a process, after its launch is in the audit and the ledger', async (t) => {
  const path = await started();
  const [process] = processesOf(path);
  t.match(process?.request, { command: ['sleep', '1000'], env: {}, allowDomains: [], workspaceId: 'demo' });
  t.match(process?.request.limits, { cpu: 1, memoryBytes: 512 * 1_048_576, pids: 128 });
  t.match(await status(path), { status: 'running', managed: true, desiredReplicas: 1, readyReplicas: 1 });
  const [launched] = await events(path, 'agent.launched');
  t.match(launched, { launchId: process?.launchId, replica: 0 });
  const { body } = await call('kernel-admin', 'GET', `/v1/workspaces/demo/decisions/${launched?.['decisionId']}`);
  t.match(body, { kind: 'launch', effect: 'ALLOW', actor: { id: 'kernel-admin' } });
  t.match(await act(path, 'start'), { body: { alreadyRunning: true } });
});

t.test('a process that ends is launched again, through admission', async (t) => {
  const path = await started();
  processesOf(path)[0]?.exit({ exitCode: 3 });
  await until('it is launched again', () => processesOf(path).length === 1);
  t.equal((await events(path, 'agent.launched')).length, 2);
  t.match(await events(path, 'agent.exited'), [{ cause: 'exited', exitCode: 3, signal: null, replica: 0 }]);
  t.match(await status(path), { lastExit: { cause: 'exited', exitCode: 3, signal: null } });
  processesOf(path)[0]?.exit({ exitCode: 0 });
  await until('an end without a failure is a restart too', () => processesOf(path).length === 1);
});

t.test('what admission does not let be launched again has failed', async (t) => {
  const path = await governed();
  await act(path, 'start');
  await until('it runs', isRunning(path));
  // Straight in the database: no revalidation has seen it.
  await database.query(`UPDATE agent_specs SET spec_bytes = spec_bytes || ' ' WHERE agent_id = $1`, [idOf(path)]);
  processesOf(path)[0]?.exit({ exitCode: 1 });
  await until('it has failed', has(path, 'failed'));
  t.equal(processesOf(path).length, 0);
  const [denied] = await events(path, 'agent.start.denied');
  t.match(denied, { denies: [{ code: 'SPEC_HASH_MISMATCH' }] });
  t.match(await events(path, 'agent.failed'), [{ code: 'ADMISSION_DENIED', launches: 1 }]);
  const { body } = await call('kernel-admin', 'GET', `/v1/workspaces/demo/decisions/${denied?.['decisionId']}`);
  t.match(body, { kind: 'launch', effect: 'DENY' });
});

t.test('a stop gives time to end, and the agent has stopped when nothing is left', async (t) => {
  const path = await started();
  const [process] = processesOf(path);
  t.match(await act(path, 'stop'), { body: { status: 'stopping' } });
  t.match(await call('kernel-admin', 'DELETE', path), { status: 409 });
  await until('it has stopped', has(path, 'stopped'));
  t.same(process?.stops, [10_000]);
  t.match(await events(path, 'agent.exited'), [{ cause: 'stopped', signal: 'SIGTERM' }]);
  await until('nobody holds it any more', async () => (await call('kernel-admin', 'DELETE', path)).status === 204);
});

t.test('what is started again while it stops begins anew', async (t) => {
  const path = await started();
  const [first] = processesOf(path);
  await act(path, 'stop');
  await act(path, 'start');
  await until('it runs', isRunning(path));
  t.ok(first?.isOver);
  t.not(processesOf(path)[0]?.launchId, first?.launchId);
});

t.test('what must not go on has no time to end', async (t) => {
  const ends: [string, (path: string) => Promise<unknown>, string][] = [
    ['a quarantine', (path) => act(path, 'quarantine', { reason: 'odd' }), 'quarantined'],
    ['a kill switch', (path) => call('kernel-admin', 'PUT', `${path}/kill-switch`, { reason: 'odd' }), 'stopped'],
  ];
  host.stubborn = true;
  t.teardown(() => {
    host.stubborn = false;
  });
  for (const [name, end, last] of ends) {
    const path = await started();
    const [process] = processesOf(path);
    const from = performance.now();
    await end(path);
    await until(`${name} ends it`, () => process?.isOver === true);
    const ms = performance.now() - from;
    t.ok(ms < 2000, `${name}: ${Math.round(ms)} ms`);
    t.same(process?.stops, [0]);
    await until(`${name}: ${last}`, has(path, last));
  }
  const path = await started();
  const [process] = processesOf(path);
  await act(path, 'stop');
  await until('it is asked to end', () => process?.stops.length === 1);
  await call('kernel-admin', 'PUT', '/v1/workspaces/demo/kill-switch', { reason: 'odd' });
  await until('the grace is over', () => process?.isOver === true, 2000);
  t.same(process?.stops, [10_000, 0]);
  t.equal((await call('kernel-admin', 'DELETE', '/v1/workspaces/demo/kill-switch', { reason: 'mended' })).status, 200);
});

t.test('a sandbox agent ends when its time is up', async (t) => {
  const path = await started(RUN_SPEC, 2);
  const [process] = processesOf(path);
  await until('its time is up', () => process?.isOver === true);
  await until('it has stopped', has(path, 'stopped'));
  t.same(process?.stops, [0]);
  t.equal((await events(path, 'agent.expired')).length, 1);
});

t.test('replicas come and go', async (t) => {
  const path = await started();
  const [first] = processesOf(path);
  const scale = (replicas: number) => call('kernel-admin', 'POST', `/api/v1/agent/${idOf(path)}/scale`, { replicas });
  t.equal((await scale(3)).status, 200);
  await until('three', isRunning(path, 3));
  const replicas = (await events(path, 'agent.launched')).map(({ replica }) => replica);
  t.same(replicas.sort(), [0, 1, 2]);
  t.equal((await scale(1)).status, 200);
  await until('one', isRunning(path, 1));
  t.same(processesOf(path), [first], 'the first goes on');
});

t.test('what is edited in its row is noticed', async () => {
  const path = await started();
  const edit = (change: string) => database.query(`UPDATE agents SET ${change} WHERE id = $1`, [idOf(path)]);
  // After its own changes of the row, which would bring the edit along.
  await world.service.app.supervisor?.round();
  await world.service.app.supervisor?.round();
  await edit('ready_replicas = 77');
  await until('the figure is its own again', async () => (await status(path)).readyReplicas === 1);
  await edit('desired_replicas = 2');
  await until('there are two', async () => (await status(path)).readyReplicas === 2);
  await edit(`status = 'stopped'`);
  await until('they end', () => processesOf(path).length === 0);
});

t.test('what cannot be run here is refused before anything changes', async (t) => {
  const refused: [string, object, number, string][] = [
    ['an image', { image: 'example/agent' }, 422, 'RUNTIME_UNSUPPORTED'],
    ['no command', { args: ['a'] }, 422, 'RUNTIME_UNSUPPORTED'],
    ['a secret for a sandbox agent', { command: ['a'], env: { KEY: 'secretRef:key' } }, 422, 'RUNTIME_UNSUPPORTED'],
    ['more than the ceiling', { command: ['a'], resources: { memoryMb: 4096 } }, 422, 'UNPROCESSABLE'],
  ];
  for (const [name, runtime, code, problem] of refused) {
    const path = await agent({ ...RUN_SPEC, runtime });
    const { body } = await act(path, 'start', {}, code);
    t.equal(body.code, problem, name);
    t.match(await status(path), { status: 'stopped', desiredReplicas: 0 });
    t.same(await events(path, 'agent.start.allowed', 'agent.start.denied'), []);
  }
  isolation.setState({ available: false, problem: { check: 'namespaces', observed: 'none', fix: 'allow them' } });
  const path = await agent();
  const { body } = await act(path, 'start', {}, 503);
  t.match(body, { code: 'ISOLATION_UNAVAILABLE', check: 'namespaces', observed: 'none', fix: 'allow them' });
  isolation.setState({ available: true, limits: 'enforced', version: '0' });
  t.match(await act(path, 'start'), { body: { status: 'starting' } });
});

t.test('a sandbox agent has no network, whatever its spec says', async (t) => {
  const runtime = { command: ['a'], network: { allowDomains: ['example.org'] } };
  const path = await started({ ...RUN_SPEC, containment: { externalCalls: false }, runtime });
  t.same(processesOf(path)[0]?.request.allowDomains, []);
});

t.test('the stop token of the spec stops at once, and nothing else does', async (t) => {
  const stopToken = ['stop', 'at', 'once'].join(' ');
  const path = await started({ ...RUN_SPEC, human: { stopToken } });
  const [process] = processesOf(path);
  const stop = (token: string) => call('operator', 'POST', `${path}/emergency-stop`, { stopToken: token });
  t.match(await stop('canary-guess-11'), { status: 403, body: { code: 'STOP_TOKEN_INVALID' } });
  const without = await started();
  t.match(await call('operator', 'POST', `${without}/emergency-stop`, { stopToken: '' }), { status: 400 });
  t.match(await call('operator', 'POST', `${without}/emergency-stop`, { stopToken }), { status: 403 });
  t.match(await call('auditor', 'POST', `${path}/emergency-stop`, { stopToken }), { status: 403 });
  const denied = await database.query(
    `SELECT payload FROM audit_events WHERE chain = 'demo' AND event_type = 'access.denied' ORDER BY seq`,
  );
  t.match(
    denied.rows.map(({ payload }) => [payload.code, payload.reason]),
    [
      ['STOP_TOKEN_INVALID', 'STOP_TOKEN'],
      ['STOP_TOKEN_INVALID', 'STOP_TOKEN'],
      ['PERMISSION_DENIED', 'ROLE'],
    ],
  );
  t.match(await stop(stopToken), { status: 200, body: { status: 'stopping' } });
  await until('it is over', () => process?.isOver === true, 2000);
  t.same(process?.stops, [0]);
  t.match(await events(path, 'agent.stopped'), [{ cause: 'stop-token' }]);
  const { rows } = await database.query(`SELECT count(*)::int AS n FROM audit_events WHERE body::text LIKE '%canary%'
    OR payload::text LIKE '%canary%'`);
  t.same(rows, [{ n: 0 }]);
});

t.test('the metrics count agents, launches and restarts', async (t) => {
  const read = await fetch(`${world.service.opsUrl}/metrics`);
  const text = await read.text();
  for (const line of [
    /^castellan_agents_supervised [1-9]/m,
    /^castellan_agent_launches_total\{outcome="launched"\} [1-9]/m,
    /^castellan_agent_launches_total\{outcome="denied"\} 1$/m,
    /^castellan_agent_restarts_total [1-9]/m,
  ]) {
    t.match(text, line);
  }
});
