import t from 'tap';

import { isolationOf, scriptedCluster } from './scripted.ts';
import { RUN_SPEC, supervisedWorld, until } from './world.ts';

const cluster = scriptedCluster();
const isolation = isolationOf(cluster);
const world = await supervisedWorld(t, isolation);
const { act, agent, call, database, events, status } = world;

const idOf = (path: string) => path.split('/').at(-1) ?? '';
const isRunning = (path: string, ready: number) => async () => {
  const now = await status(path);
  return now.status === 'running' && now.readyReplicas === ready;
};
const has = (path: string, wanted: string) => async () => (await status(path)).status === wanted;

async function started(replicas = 1, spec: object = RUN_SPEC): Promise<string> {
  const path = await agent(spec);
  await act(path, 'start', { replicas });
  await until('it runs', isRunning(path, replicas));
  return path;
}

t.test('each pod waits until it is admitted', async (t) => {
  const path = await started(2, { ...RUN_SPEC, runtime: { image: 'example/agent@sha256:0', args: ['--quiet'] } });
  t.match(cluster.agents.get(idOf(path))?.agent, { replicas: 2, image: 'example/agent@sha256:0', args: ['--quiet'] });
  const launched = await events(path, 'agent.launched');
  t.same(launched.map(({ replica }) => replica).sort(), [0, 1]);
  const applied = cluster.applied.length;
  const scaled = await call('kernel-admin', 'POST', `/api/v1/agent/${idOf(path)}/scale`, { replicas: 3 });
  t.equal(scaled.status, 200);
  await until('three', isRunning(path, 3));
  t.equal(cluster.applied.length, applied + 1, 'applied once for what is wanted now');
  t.equal((await events(path, 'agent.launched')).length, 3);
  await until('what they say is kept', async () => {
    const { body } = await call('operator', 'GET', `${path}/logs`);
    return body.entries.some(({ text }: { text: string }) => text.startsWith('hello from pod-'));
  });
});

t.test('a restart in place is admitted again, and takes the agent down when it is not', async (t) => {
  const path = await started();
  cluster.restart(idOf(path), 3);
  await until('it was admitted again', async () => (await events(path, 'agent.launched')).length === 2);
  t.match(await events(path, 'agent.exited'), [{ cause: 'exited', exitCode: 3 }]);
  t.match(await status(path), { status: 'running', lastExit: { exitCode: 3 } });
  await database.query(`UPDATE agent_specs SET spec_bytes = spec_bytes || ' ' WHERE agent_id = $1`, [idOf(path)]);
  await database.query(`UPDATE agents SET mode = 'governed', expires_at = NULL WHERE id = $1`, [idOf(path)]);
  cluster.restart(idOf(path), 4);
  await until('it has failed', has(path, 'failed'));
  await until('nothing of it is left', () => !cluster.agents.has(idOf(path)));
});

t.test('a stop takes it away, with its grace; a quarantine without', async (t) => {
  const stopped = await started();
  await act(stopped, 'stop');
  await until('it has stopped', has(stopped, 'stopped'));
  t.match(cluster.removed.at(-1), { agentId: idOf(stopped), graceMs: 10_000 });
  const path = await started();
  await act(path, 'quarantine', { reason: 'odd' });
  const ms = await until('it is gone', () => !cluster.agents.has(idOf(path)));
  t.ok(ms < 2000, `${Math.round(ms)} ms`);
  t.match(cluster.removed.at(-1), { agentId: idOf(path), graceMs: 0 });
});

t.test('what nobody wants is taken away, whoever left it', async (t) => {
  const path = await agent();
  await cluster.apply({
    workspaceId: 'demo',
    agentId: idOf(path),
    replicas: 1,
    generation: 1,
    image: undefined,
    command: ['sleep'],
    args: [],
    env: {},
    secrets: new Map(),
    limits: { cpu: 1, memoryBytes: 1, pids: 1, diskBytes: 1 },
    allowDomains: [],
  });
  await until('it is gone', () => !cluster.agents.has(idOf(path)));
  t.match(await status(path), { status: 'stopped' });
});

t.test('agents live on without the service, and are found again', async (t) => {
  const path = await started();
  const applied = cluster.applied.length;
  await world.service.close();
  t.ok(cluster.agents.has(idOf(path)));
  const next = await supervisedWorld(t, isolation, { replicaOf: world });
  const at = async () => (await next.status(path)).readyReplicas;
  await until('it is claimed', async () => (next.service.app.supervisor?.supervised ?? 0) > 0);
  t.equal(await at(), 1);
  t.equal(cluster.applied.length, applied, 'it was not applied again');
  t.equal((await next.events(path, 'agent.launched')).length, 1);
  await next.act(path, 'stop');
  await until('it has stopped', async () => (await next.status(path)).status === 'stopped');
  t.notOk(cluster.agents.has(idOf(path)));
});
