import t from 'tap';

import { member } from '../delivery/support/kustomize.ts';
import { RUN_SPEC, supervisedWorld, until } from '../supervisor/world.ts';
import { isolationTest } from '../support/isolation.ts';
import { nameOf } from './fake-cluster/objects.ts';
import { openWorld } from './world.ts';

isolationTest(t);

const { cluster, driver } = await openWorld(t);
const { store, kubelet } = cluster;
const first = driver();
await first.state();
const world = await supervisedWorld(t, first);
const SPEC = { ...RUN_SPEC, runtime: { command: ['/bin/sh', '-c', 'echo hello from a pod; sleep 1000'] } };

const idOf = (path: string) => path.split('/').at(-1) ?? '';
const podsOf = (path: string) =>
  store.list('pods').filter((pod) => member(pod, 'metadata', 'labels', 'castellan.dev/agent') === idOf(path));
const names = (path: string) => podsOf(path).map(nameOf).toSorted();

async function started(on: typeof world, replicas = 1): Promise<string> {
  const path = await on.agent(SPEC);
  await on.act(path, 'start', { replicas });
  await until('it runs', async () => {
    const { status, readyReplicas } = await on.status(path);
    return status === 'running' && readyReplicas === replicas;
  });
  return path;
}

t.test('every pod waits for its admission, and what it writes is kept', async (t) => {
  const path = await started(world, 2);
  t.equal((await world.events(path, 'agent.launched')).length, 2);
  t.equal(names(path).length, 2);
  await until('its output is kept', async () => {
    const { body } = await world.call('operator', 'GET', `${path}/logs`);
    return body.entries.some(({ text }: { text: string }) => text.includes('hello from a pod'));
  });
  const { body } = await world.call('kernel-admin', 'POST', `${path}/quarantine`, { reason: 'odd' });
  t.equal(body.status, 'quarantined');
  const ms = await until('it is gone', () => names(path).length === 0);
  t.ok(ms < 2000, `${Math.round(ms)} ms`);
});

t.test('a kubelet that restarts its containers has them admitted again, or taken down', async (t) => {
  const path = await started(world);
  const [pod] = names(path);
  await kubelet.restart();
  await until('admitted again', async () => (await world.events(path, 'agent.launched')).length === 2);
  t.same(names(path), [pod], 'in place');
  await world.database.query(`UPDATE agent_specs SET spec_bytes = spec_bytes || ' ' WHERE agent_id = $1`, [idOf(path)]);
  await world.database.query(`UPDATE agents SET mode = 'governed', expires_at = NULL WHERE id = $1`, [idOf(path)]);
  await kubelet.restart();
  await until('it has failed', async () => (await world.status(path)).status === 'failed');
  await until('nothing of it is left', () => names(path).length === 0);
  t.equal(store.get('deployments', `agent-${idOf(path)}`), undefined);
});

t.test('agents live on without the service, and are adopted by the next', async (t) => {
  const path = await started(world);
  const pods = names(path);
  await world.service.close();
  t.same(names(path), pods);
  const next = await supervisedWorld(t, driver(), { replicaOf: world });
  await until('it is claimed', async () => (next.service.app.supervisor?.supervised ?? 0) > 0);
  await until('it is ready', async () => (await next.status(path)).readyReplicas === 1);
  t.same(names(path), pods);
  t.equal((await next.events(path, 'agent.launched')).length, 1);
  await next.act(path, 'stop');
  await until('it has stopped', async () => (await next.status(path)).status === 'stopped');
  await until('nothing of it is left', () => names(path).length === 0);
});
