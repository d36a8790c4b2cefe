import { randomUUID } from 'node:crypto';
import t from 'tap';

import type { SandboxRequest } from '../../src/runtime/isolation.ts';
import { isMap, member } from '../delivery/support/kustomize.ts';
import { isolationTest } from '../support/isolation.ts';
import { until } from '../support/process.ts';
import { nameOf } from './fake-cluster/objects.ts';
import { openWorld } from './world.ts';

isolationTest(t);

const MIB = 1_048_576;
const { cluster, driver } = await openWorld(t);
const { store, kubelet } = cluster;

const request = (): SandboxRequest => ({
  runId: randomUUID(),
  workspaceId: 'w',
  agentId: randomUUID(),
  limits: { cpu: 1, memoryBytes: 64 * MIB, pids: 32, diskBytes: 8 * MIB },
  env: {},
  allowDomains: [],
  lifetimeMs: 60_000,
});
const options = () => ({ timeoutMs: 20_000, signal: AbortSignal.timeout(30_000) });
const jobs = () => store.list('jobs').map(nameOf);

t.test('a pod with the labels of a run, made by somebody else, is told nothing', async (t) => {
  const isolation = driver();
  const first = await isolation.openSandbox(request());
  await first.run('true', options());
  const [like] = store.list('pods');
  await first.close();
  const asked = request();
  const labels = { 'app.kubernetes.io/managed-by': 'castellan', 'castellan.dev/run': asked.runId };
  const spec = member(like, 'spec');
  if (!isMap(spec)) throw new TypeError('a pod without a spec');
  const ownerReferences = [{ apiVersion: 'batch/v1', kind: 'Job', name: `run-${asked.runId}`, uid: randomUUID() }];
  store.create('pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'planted', labels, ownerReferences },
    spec,
    status: { phase: 'Pending' },
  });
  await until('it runs', () => member(store.get('pods', 'planted'), 'status', 'phase') === 'Running');
  const sandbox = await isolation.openSandbox(asked);
  t.match(await sandbox.run('echo for the run alone', options()), { result: 'ok' });
  t.notMatch(cluster.requests.join('\n'), /planted\/exec/);
  await sandbox.close();
  store.delete('pods', 'planted');
});

t.test(
  'services of one name leave the runs of each other alone; those of one that is gone are removed by name',
  async (t) => {
    const parts = { serviceName: 'castellan-0' };
    const [one, other] = [driver({}, parts), driver({}, parts)];
    const [first, second] = [request(), request()];
    const sandbox = await one.openSandbox(first);
    await one.openSandbox(second);
    await other.state();
    t.match(await sandbox.run('true', options()), { result: 'ok' });
    await other.discard?.(second.runId);
    t.same(jobs(), [`run-${first.runId}`]);
    await other.discard?.(second.runId);
    await Promise.all([one.close(), other.close()]);
  },
);

t.test('a service that closes waits for no pod of its own', async (t) => {
  kubelet.faults.isFull = true;
  const isolation = driver();
  const looking = isolation.state();
  await until('the canary waits', () => jobs().length === 1);
  const began = performance.now();
  await isolation.close();
  t.ok(performance.now() - began < 5000);
  t.match(await looking, { available: false });
  kubelet.faults.isFull = false;
  t.same(jobs(), []);
});

t.test('a clock that was set back keeps nothing from being looked at again', async (t) => {
  let now = Date.now();
  kubelet.faults.missingImages.add('registry.example/none');
  const isolation = driver({ image: 'registry.example/none' }, { clock: () => now });
  t.match(await isolation.state(), { available: false });
  kubelet.faults.missingImages.clear();
  now -= 86_400_000;
  await until('it can be had', async () => (await isolation.state()).available);
});
