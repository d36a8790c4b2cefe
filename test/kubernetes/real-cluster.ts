import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import t from 'tap';

import type { KubernetesConfig } from '../../src/config/runtime.ts';
import { createKubernetesIsolation } from '../../src/runtime/drivers/kubernetes/index.ts';
import { isolationConformance } from '../conformance/isolation/suite.ts';
import { until } from '../support/process.ts';

/** ms for a place on a node and an image. */
const START_MS = 180_000;

/** The conformance of drivers and the life of one agent, in the cluster of these settings. */
export async function testCluster(kubernetes: KubernetesConfig): Promise<void> {
  t.setTimeout(3_600_000);
  const open = () =>
    createKubernetesIsolation({ kubernetes }, { logger: pino({ level: 'warn' }), serviceName: `test-${randomUUID()}` });
  const isolation = open();
  t.teardown(() => isolation.close());
  const state = await isolation.state();
  if (!state.available) {
    t.fail('the cluster does not isolate', state.problem);
    return;
  }
  isolationConformance(t, {
    name: 'kubernetes',
    open: async () => {
      const opened = open();
      return { isolation: opened, close: () => opened.close() };
    },
    has: {
      localAgents: false,
      limits: true,
      usage: false,
      // What these statements expect of the network is that of one machine: a pod has an interface, which policies close.
      namespaces: false,
      exactEnvironment: true,
      readOnlyRoot: true,
      confined: true,
    },
  });
  t.test('an agent waits at its gate, runs when admitted, and goes', async (t) => {
    const { agents } = isolation;
    if (agents.kind !== 'cluster') throw new Error('agents are in a cluster');
    const agentId = randomUUID();
    await agents.apply({
      workspaceId: 'test',
      agentId,
      replicas: 1,
      generation: 1,
      image: undefined,
      command: ['/bin/sh', '-c', 'echo hello; sleep 600'],
      args: [],
      env: {},
      secrets: new Map([['key', Buffer.from('secret')]]),
      limits: { cpu: 0.1, memoryBytes: 67_108_864, pids: 32, diskBytes: 8_388_608 },
      allowDomains: [],
    });
    const own = async () => (await agents.observe()).find((one) => one.agentId === agentId);
    await until('it waits', async () => (await own())?.waiting.length === 1, START_MS);
    for (const pod of (await own())?.waiting ?? []) await agents.admit(pod);
    await until('it runs', async () => (await own())?.readyReplicas === 1, START_MS);
    let text = '';
    const signal = AbortSignal.timeout(START_MS);
    await agents.logs('test', agentId, { follow: false, tailBytes: 4096, signal }, (_pod, chunk) => {
      text += chunk.toString();
    });
    t.equal(text, 'hello\n');
    await agents.remove('test', agentId, 0);
    await until('it is gone', async () => (await own()) === undefined, START_MS);
  });
}
