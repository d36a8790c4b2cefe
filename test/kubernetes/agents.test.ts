import { randomUUID } from 'node:crypto';
import t from 'tap';

import type { ClusterAgent, ClusterHost, Isolation } from '../../src/runtime/isolation.ts';
import { schemaProblems } from '../delivery/support/kubernetes-schemas.ts';
import { listed, member } from '../delivery/support/kustomize.ts';
import { isolationTest } from '../support/isolation.ts';
import { until } from '../support/process.ts';
import { containerOf, nameOf } from './fake-cluster/objects.ts';
import { openWorld } from './world.ts';

isolationTest(t);

const MIB = 1_048_576;
const { cluster, driver } = await openWorld(t);
const { store, kubelet } = cluster;

function hostOf({ agents }: Isolation): ClusterHost {
  if (agents.kind !== 'cluster') throw new Error('agents are in a cluster');
  return agents;
}

const host = hostOf(driver());

const agent = (changes: Partial<ClusterAgent> = {}): ClusterAgent => ({
  workspaceId: 'w',
  agentId: randomUUID(),
  replicas: 1,
  generation: 1,
  image: undefined,
  command: ['/bin/sh', '-c'],
  args: ['echo "here $NAME $(cat /run/secrets/key 2>/dev/null)"; sleep 60'],
  env: { NAME: '$(HOME) $$' },
  secrets: new Map(),
  limits: { cpu: 1, memoryBytes: 64 * MIB, pids: 32, diskBytes: 8 * MIB },
  allowDomains: [],
  ...changes,
});

const stateOf = async (agentId: string, on = host) => (await on.observe()).find((state) => state.agentId === agentId);
const podsOf = (agentId: string) =>
  store.list('pods').filter((pod) => member(pod, 'metadata', 'labels', 'castellan.dev/agent') === agentId);
const waiting = (agentId: string, count = 1) =>
  until('pods at the gate', async () => (await stateOf(agentId))?.waiting.length === count);
const ready = (agentId: string, count = 1) =>
  until('ready', async () => (await stateOf(agentId))?.readyReplicas === count);
const admitAll = async (agentId: string) => {
  for (const pod of (await stateOf(agentId))?.waiting ?? []) await host.admit(pod);
};
const gone = (agentId: string) => until('gone', () => podsOf(agentId).length === 0);

async function logsOf(agentId: string, tailBytes = 4096): Promise<string> {
  let text = '';
  await host.logs('w', agentId, { follow: false, tailBytes, signal: AbortSignal.timeout(10_000) }, (_pod, chunk) => {
    text += chunk.toString();
  });
  return text;
}

t.test('an agent waits at its gate, runs when admitted, and goes with all it has', async (t) => {
  const one = agent({ secrets: new Map([['key', Buffer.from('of the agent')]]) });
  const { agentId } = one;
  await host.apply(one);
  await waiting(agentId);
  t.match(await stateOf(agentId), { workspaceId: 'w', generation: 1, readyReplicas: 0, restarts: 0 });
  const [pod] = podsOf(agentId);
  t.equal(member(pod, 'spec', 'nodeName'), undefined, 'it has no node');
  t.notMatch(JSON.stringify(pod), Buffer.from('of the agent').toString('base64'));
  t.same(schemaProblems([store.get('deployments', `agent-${agentId}`) ?? {}]), []);
  await admitAll(agentId);
  await ready(agentId);
  await until('it has written', async () => (await logsOf(agentId)) !== '');
  t.equal(await logsOf(agentId), 'here $(HOME) $$ of the agent\n', 'variables are not expanded');
  t.equal(await logsOf(agentId, 6), 'agent\n');
  await host.remove('w', agentId, 0);
  await gone(agentId);
  t.equal(store.get('secrets', `agent-${agentId}`), undefined);
  await until('not seen', async () => (await stateOf(agentId)) === undefined);
  await host.remove('w', agentId, 0);
});

t.test('arguments reach a program as they are written', async (t) => {
  const one = agent({ args: ['echo "$0 $NAME"; sleep 60', '$(NAME) $$(NAME) $$'], env: { NAME: 'n' } });
  const { agentId } = one;
  await host.apply(one);
  await waiting(agentId);
  await admitAll(agentId);
  await until('it has written', async () => (await logsOf(agentId).catch(() => '')) !== '');
  t.equal(await logsOf(agentId), '$(NAME) $$(NAME) $$ n\n');
  await host.remove('w', agentId, 0);
  await gone(agentId);
});

t.test('scaling restarts nothing; what is older never overwrites what is newer', async (t) => {
  const one = agent();
  const { agentId } = one;
  await host.apply(one);
  await waiting(agentId);
  await admitAll(agentId);
  await ready(agentId);
  const [first] = podsOf(agentId).map(nameOf);
  await host.apply({ ...one, replicas: 2, generation: 3 });
  await waiting(agentId);
  t.ok(podsOf(agentId).some((pod) => nameOf(pod) === first));
  await host.apply({ ...one, replicas: 5, generation: 2 });
  t.match(await stateOf(agentId), { generation: 3 });
  t.equal(member(store.get('deployments', `agent-${agentId}`), 'spec', 'replicas'), 2);
  const racing = [4, 8, 5, 7, 6].map((generation) => host.apply({ ...one, replicas: generation - 3, generation }));
  await Promise.all(racing);
  t.equal(member(store.get('deployments', `agent-${agentId}`), 'spec', 'replicas'), 5, 'the newest of many at once');
  await host.remove('w', agentId, 0);
  await gone(agentId);
});

t.test('a container that ends is seen: restarts in place, and how it ended', async (t) => {
  const one = agent({ args: ['echo once >> /dev/stdout; exit 3'] });
  const { agentId } = one;
  await host.apply(one);
  await waiting(agentId);
  await admitAll(agentId);
  await until('restarted', async () => ((await stateOf(agentId))?.restarts ?? 0) > 0);
  t.match(await stateOf(agentId), { lastExit: { cause: 'exited', exitCode: 3, signal: null } });
  await host.remove('w', agentId, 0);
  await gone(agentId);
});

t.test('its output is followed over restarts until the signal', async (t) => {
  const one = agent({ args: ['echo begun; sleep 60'] });
  const { agentId } = one;
  await host.apply(one);
  await waiting(agentId);
  await admitAll(agentId);
  await ready(agentId);
  const stop = new AbortController();
  let heard = '';
  const following = host.logs('w', agentId, { follow: true, tailBytes: 4096, signal: stop.signal }, (_pod, chunk) => {
    heard += chunk.toString();
  });
  await until('heard', () => heard.includes('begun\n'));
  await kubelet.restart();
  await until('heard again', () => heard.split('begun\n').length > 2);
  stop.abort();
  await following;
  t.match(heard, /^begun\n/);
  await host.remove('w', agentId, 0);
  await gone(agentId);
});

t.test('an allowlist without a proxy is refused, and nothing is made', async (t) => {
  const one = agent({ allowDomains: ['api.example.org'] });
  await t.rejects(host.apply(one), { code: 'ISOLATION_UNAVAILABLE', problem: { check: 'egress-proxy' } });
  t.equal(store.get('deployments', `agent-${one.agentId}`), undefined);
});

t.test('pods are restricted: what is not is kept out where pods are made', async (t) => {
  const one = agent();
  await host.apply(one);
  await waiting(one.agentId);
  const [pod] = podsOf(one.agentId);
  t.match(containerOf(pod ?? {}), { securityContext: { readOnlyRootFilesystem: true } });
  t.match(pod, {
    spec: { automountServiceAccountToken: false, enableServiceLinks: false, hostNetwork: false, dnsPolicy: 'None' },
  });
  const deployment = store.get('deployments', `agent-${one.agentId}`) ?? {};
  const [container] = listed(member(deployment, 'spec', 'template', 'spec', 'containers'));
  store.patch('deployments', nameOf(deployment), {
    spec: { template: { spec: { containers: [{ ...Object(container), securityContext: { privileged: true } }] } } },
  });
  await until('refused', () => cluster.warnings.some((warning) => /PodSecurity.*privileged/.test(warning)));
  await host.remove('w', one.agentId, 0);
  await gone(one.agentId);
});
