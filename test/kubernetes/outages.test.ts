import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import t from 'tap';

import { createClusterClient } from '../../src/runtime/drivers/kubernetes/client/client.ts';
import { createReflector } from '../../src/runtime/drivers/kubernetes/client/reflector.ts';
import { Deployment } from '../../src/runtime/drivers/kubernetes/client/resources.ts';
import type { ClusterHost } from '../../src/runtime/isolation.ts';
import { isolationTest } from '../support/isolation.ts';
import type { Tap } from '../support/postgres.ts';
import { until } from '../support/process.ts';
import { nameOf } from './fake-cluster/objects.ts';
import { openWorld } from './world.ts';

isolationTest(t);

const MIB = 1_048_576;
const { cluster, driver } = await openWorld(t);
const { store, watches, requests } = cluster;
const path = `/apis/apps/v1/namespaces/${cluster.namespace}/deployments`;

const deployment = (name: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, labels: { mine: 'yes' } },
  spec: { replicas: 0, template: {} },
});

function reflected(t: Tap) {
  const client = createClusterClient(cluster.access);
  const logger = pino({ level: 'silent' });
  const reflector = createReflector(Deployment, { client, path, labelSelector: 'mine=yes', logger });
  t.teardown(() => {
    reflector.close();
    return client.close();
  });
  return reflector;
}

t.test('a watch that breaks off is gone on with where it was, and who waits is not disturbed', async (t) => {
  const reflector = reflected(t);
  await reflector.ready(AbortSignal.timeout(10_000));
  await until('watched', () => watches.count === 1);
  store.create('deployments', deployment('a'));
  await until('known', () => reflector.get('a') !== undefined);
  const waiting = reflector.until(
    (known) => known.items().find(({ metadata }) => metadata.name === 'b'),
    AbortSignal.timeout(10_000),
  );
  const [version, before] = [store.version, requests.length];
  cluster.cut();
  await until('watched again', () => watches.count === 1 && requests.length > before);
  t.match(requests.slice(before), [new RegExp(`watch=true.*resourceVersion=${version}$`)], 'nothing is listed again');
  store.create('deployments', deployment('b'));
  t.match(await waiting, { metadata: { name: 'b' } });
});

t.test('a server that ends every watch at once is not asked without a pause', async (t) => {
  const reflector = reflected(t);
  const endless = setInterval(() => watches.end(), 1);
  await reflector.ready(AbortSignal.timeout(10_000));
  const before = requests.length;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  clearInterval(endless);
  const asked = requests.length - before;
  t.ok(asked < 20, `${asked} times in a second`);
});

t.test('what an agent writes is followed again after its connection broke', async () => {
  const { agents } = driver();
  if (agents.kind !== 'cluster') throw new Error('agents are in a cluster');
  const host: ClusterHost = agents;
  const agentId = randomUUID();
  await host.apply({
    workspaceId: 'w',
    agentId,
    replicas: 1,
    generation: 1,
    image: undefined,
    command: ['/bin/sh', '-c'],
    args: ['n=0; while sleep 0.2; do n=$((n+1)); echo "line $n"; done'],
    env: {},
    secrets: new Map(),
    limits: { cpu: 1, memoryBytes: 64 * MIB, pids: 32, diskBytes: 8 * MIB },
    allowDomains: [],
  });
  const state = async () => (await host.observe()).find((one) => one.agentId === agentId);
  await until('at the gate', async () => (await state())?.waiting.length === 1);
  for (const pod of (await state())?.waiting ?? []) await host.admit(pod);
  await until('ready', async () => (await state())?.readyReplicas === 1);
  const stop = new AbortController();
  let heard = '';
  const following = host.logs('w', agentId, { follow: true, tailBytes: 4096, signal: stop.signal }, (_pod, chunk) => {
    heard += chunk.toString();
  });
  await until('heard', () => heard.includes('line'));
  cluster.cut();
  heard = '';
  await until('heard again', () => heard.includes('line'));
  stop.abort();
  await following;
  await host.remove('w', agentId, 0);
  await until('gone', () => !store.list('pods').some((pod) => nameOf(pod).includes(agentId)));
});
