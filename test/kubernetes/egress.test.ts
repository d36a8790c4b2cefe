import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import t from 'tap';

import { createEgressListener } from '../../src/egress/listener.ts';
import { createEgressRules } from '../../src/egress/rules.ts';
import type { Isolation } from '../../src/runtime/isolation.ts';
import { member } from '../delivery/support/kustomize.ts';
import { isolationTest } from '../support/isolation.ts';
import { until } from '../support/process.ts';
import { texts } from './fake-cluster/objects.ts';
import { openWorld } from './world.ts';

isolationTest(t);

const MIB = 1_048_576;
const LIMITS = { cpu: 1, memoryBytes: 64 * MIB, pids: 32, diskBytes: 8 * MIB };
const { cluster, driver } = await openWorld(t);
const { store } = cluster;

/** A replica of the service with a proxy of its own; all of them are behind one address for pods, which is none here. */
async function replica(): Promise<{ isolation: Isolation; port: number }> {
  const rules = createEgressRules({ internalHosts: [] }, { resolve: async () => [] });
  const listener = createEgressListener(rules, { host: '127.0.0.1', port: 0 });
  const { port } = await listener.listen();
  t.teardown(() => listener.close());
  const isolation = driver({ egressProxy: { host: '127.0.0.1', port: 3128 } }, { egressListener: listener });
  return { isolation, port };
}

const one = await replica();
const other = await replica();

/** Status of a CONNECT to a host that has no address: 407 for nobody, 403 for what is not on the list, else the host's. */
async function ask(port: number, proxy: string, host: string): Promise<number> {
  const { username, password } = new URL(proxy);
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const outgoing = request({
    host: '127.0.0.1',
    port,
    method: 'CONNECT',
    path: `${host}:443`,
    headers: { host: `${host}:443`, 'proxy-authorization': authorization },
    agent: false,
  });
  outgoing.on('connect', (response, socket) => {
    socket.destroy();
    resolve(response.statusCode ?? 0);
  });
  outgoing.on('error', reject).end();
  return promise;
}

t.test('a run has its own way out, known on every replica as long as it lives', async (t) => {
  await Promise.all([one.isolation.state(), other.isolation.state()]);
  const sandbox = await one.isolation.openSandbox({
    runId: randomUUID(),
    workspaceId: 'w',
    agentId: randomUUID(),
    limits: LIMITS,
    env: { HTTPS_PROXY: 'http://of.its.own' },
    allowDomains: ['api.example.org'],
    lifetimeMs: 60_000,
  });
  const done = await sandbox.run('echo "$HTTPS_PROXY"; echo "$NO_PROXY"', {
    timeoutMs: 20_000,
    signal: AbortSignal.timeout(30_000),
  });
  const [proxy = '', direct] = done.stdout.text.split('\n');
  t.match(proxy, /^http:\/\/[0-9a-f]{24}:[\w-]{43}@127\.0\.0\.1:3128$/);
  t.equal(direct, 'localhost,127.0.0.1,::1');
  const [pod] = store.list('pods');
  t.equal(texts(member(pod, 'metadata', 'labels'))['castellan.dev/egress'], 'proxy', 'the policies know it');
  t.notMatch(JSON.stringify([store.list('pods'), store.list('jobs')]), new URL(proxy).password);
  t.equal(await ask(one.port, proxy, 'api.example.org'), 502, 'on the list, without an address');
  t.equal(await ask(one.port, proxy, 'elsewhere.example.org'), 403);
  t.equal(await ask(one.port, proxy.replace(new URL(proxy).username, 'nobody'), 'api.example.org'), 407);
  await until('the other replica knows it', async () => (await ask(other.port, proxy, 'api.example.org')) === 502);
  t.match(sandbox.egress, [
    { host: 'api.example.org', verdict: 'denied' },
    { host: 'elsewhere.example.org', code: 'NOT_ON_ALLOWLIST' },
  ]);
  await sandbox.close();
  t.equal(await ask(one.port, proxy, 'api.example.org'), 407);
  await until('nor the other', async () => (await ask(other.port, proxy, 'api.example.org')) === 407);
  t.same(store.list('secrets'), []);
});

t.test('an agent keeps its way out over services, and loses it with what it may reach', async (t) => {
  const { agents } = one.isolation;
  if (agents.kind !== 'cluster') throw new Error('agents are in a cluster');
  const agent = {
    workspaceId: 'w',
    agentId: randomUUID(),
    replicas: 1,
    generation: 1,
    image: undefined,
    command: ['/bin/sh', '-c', 'echo "$HTTPS_PROXY"; sleep 60'],
    args: [],
    env: {},
    secrets: new Map(),
    limits: LIMITS,
    allowDomains: ['api.example.org'],
  };
  const admitted = async () => {
    await until('admitted', async () => {
      const state = (await agents.observe())[0];
      for (const pod of state?.waiting ?? []) await agents.admit(pod);
      return state?.readyReplicas === 1;
    });
  };
  const written = async () => {
    let text = '';
    await until('written', async () => {
      text = '';
      const signal = AbortSignal.timeout(10_000);
      await agents.logs('w', agent.agentId, { follow: false, tailBytes: 4096, signal }, (_pod, chunk) => {
        text += chunk.toString();
      });
      return text !== '';
    });
    return text.trim();
  };
  await agents.apply(agent);
  await admitted();
  const proxy = await written();
  for (const { port } of [one, other]) {
    await until('known', async () => (await ask(port, proxy, 'api.example.org')) === 502);
  }
  const later = await replica();
  await later.isolation.state();
  await until('known to one that came later', async () => (await ask(later.port, proxy, 'api.example.org')) === 502);
  await agents.apply({ ...agent, generation: 2, allowDomains: ['other.example.org'] });
  await admitted();
  await until('the new list', async () => (await ask(one.port, proxy, 'other.example.org')) === 502);
  t.equal(await ask(one.port, proxy, 'api.example.org'), 403);
  await agents.remove('w', agent.agentId, 0);
  await until('gone', async () => (await ask(later.port, proxy, 'other.example.org')) === 407);
});
