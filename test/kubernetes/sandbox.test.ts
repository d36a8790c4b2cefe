import { randomUUID } from 'node:crypto';
import t from 'tap';

import type { Isolation, Sandbox, SandboxRequest } from '../../src/runtime/isolation.ts';
import { member } from '../delivery/support/kustomize.ts';
import { isolationTest } from '../support/isolation.ts';
import { until } from '../support/process.ts';
import { nameOf } from './fake-cluster/objects.ts';
import { Refusal } from './fake-cluster/store.ts';
import { IMAGE, openWorld } from './world.ts';

isolationTest(t);

const MIB = 1_048_576;
const LIMITS = { cpu: 1, memoryBytes: 64 * MIB, pids: 32, diskBytes: 8 * MIB };
const { cluster, driver } = await openWorld(t);
const { store, kubelet } = cluster;
const isolation = driver();

const left = () => [...store.list('jobs'), ...store.list('pods'), ...store.list('secrets')].map(nameOf);
const signal = () => AbortSignal.timeout(30_000);
const request = (changes: Partial<SandboxRequest> = {}): SandboxRequest => ({
  runId: randomUUID(),
  workspaceId: 'tests-',
  agentId: randomUUID(),
  limits: LIMITS,
  env: {},
  allowDomains: [],
  lifetimeMs: 60_000,
  ...changes,
});
const run = (sandbox: Sandbox, command: string) => sandbox.run(command, { timeoutMs: 20_000, signal: signal() });
const podOf = (): string => {
  const [pod] = store.list('pods');
  if (pod === undefined) throw new Error('there is no pod');
  return nameOf(pod);
};
const running = () =>
  until('it runs', () => store.list('pods').some((pod) => member(pod, 'status', 'phase') === 'Running'));

async function withSandbox<T>(work: (sandbox: Sandbox) => Promise<T>, on: Isolation = isolation): Promise<T> {
  const sandbox = await on.openSandbox(request());
  try {
    return await work(sandbox);
  } finally {
    await sandbox.close();
  }
}

t.test('a run is a job that the cluster ends by itself, and nothing secret is in it', async (t) => {
  const asked = request({ env: { TOKEN: 'canary-of-env' } });
  const sandbox = await isolation.openSandbox(asked);
  const done = await run(sandbox, 'echo "canary-of-command $TOKEN"');
  t.match(done, { result: 'ok', stdout: { text: 'canary-of-command canary-of-env\n' } });
  const [job] = store.list('jobs');
  t.match(job, {
    metadata: {
      name: `run-${asked.runId}`,
      labels: { 'castellan.dev/agent': asked.agentId, 'castellan.dev/workspace': /^sha256\.[0-9a-f]{32}$/ },
      annotations: { 'castellan.dev/workspace-id': 'tests-' },
    },
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: 240,
      ttlSecondsAfterFinished: 60,
      template: { spec: { activeDeadlineSeconds: 60, containers: [{ image: IMAGE }] } },
    },
  });
  const seen = JSON.stringify([store.list('jobs'), store.list('pods'), cluster.requests]);
  t.notMatch(seen, /canary-of/);
  await sandbox.close();
  t.same(left(), []);
});

t.test('what keeps a pod from starting is setup_failed, and says why', async (t) => {
  kubelet.faults.missingImages.add('registry.example/none');
  const lacking = driver({ image: 'registry.example/none' });
  t.match(await lacking.state(), {
    available: false,
    problem: { check: 'kubernetes-canary', observed: /ImagePullBackOff|ErrImagePull/ },
  });
  await t.rejects(lacking.openSandbox(request()), { code: 'ISOLATION_UNAVAILABLE' });
  kubelet.faults.missingImages.add(IMAGE);
  t.match(await withSandbox((sandbox) => run(sandbox, 'true')), { result: 'setup_failed', problem: /pull/i });
  kubelet.faults.missingImages.clear();
});

t.test('a pod that is ended from outside says by what', async (t) => {
  const ended = async (end: () => Promise<void>) => {
    const sandbox = await isolation.openSandbox(request());
    const done = run(sandbox, 'echo begun; sleep 20');
    await running();
    await end();
    const result = await done;
    t.match(
      await run(sandbox, 'true'),
      { result: 'setup_failed', problem: /has ended/ },
      'and it runs nothing any more',
    );
    await sandbox.close();
    return result;
  };
  const tooMuch = 'Usage of EmptyDir volume "workspace" exceeds the limit "8388608".';
  t.match(await ended(() => kubelet.evict(podOf(), tooMuch)), { result: 'disk_limit', problem: /Evicted/ });
  const pressure = 'The node was low on resource: memory.';
  t.match(await ended(() => kubelet.evict(podOf(), pressure)), { result: 'setup_failed', problem: /Evicted/ });
  t.match(await ended(() => kubelet.expire(podOf())), { result: 'timeout', problem: /DeadlineExceeded/ });
  t.match(await ended(async () => store.delete('pods', podOf())), { result: 'setup_failed', problem: /gone/ });
});

t.test('a container that goes down with its memory is oom', async (t) => {
  kubelet.faults.oomKillsContainer = true;
  const done = await withSandbox((sandbox) => run(sandbox, 'head -c 300M /dev/zero | tail -c 300M | wc -c'));
  t.match(done, { result: 'oom', problem: /OOMKilled/ });
  kubelet.faults.oomKillsContainer = false;
});

t.test('a connection that is lost is never a failed test', async (t) => {
  const done = await withSandbox(async (sandbox) => {
    const lost = run(sandbox, 'sleep 20');
    await running();
    await until('it is heard', () => cluster.requests.at(-1)?.includes('/exec') === true);
    cluster.cut();
    return lost;
  });
  t.match(done, { result: 'setup_failed', problem: /connection/ });
});

t.test('where what a command left cannot be ended, the pod goes', async (t) => {
  await withSandbox(async (sandbox) => {
    t.match(await run(sandbox, 'true'), { result: 'ok' });
    const over = cluster.fault(({ path }) =>
      path.includes('kill+-9') ? new Refusal(500, 'InternalError', 'broken') : undefined,
    );
    const done = await sandbox.run('echo partial; sleep 20', { timeoutMs: 500, signal: signal() });
    t.match(done, { result: 'timeout', stdout: { text: 'partial\n' } });
    t.same(store.list('pods'), []);
    over();
    t.match(await run(sandbox, 'true'), { result: 'setup_failed' });
  });
});

t.test('a cluster that goes away while a run waits for its pod is setup_failed', async (t) => {
  kubelet.faults.missingImages.add(IMAGE);
  const sandbox = await isolation.openSandbox(request({ limits: { ...LIMITS, cpu: 1000 } }));
  const done = run(sandbox, 'true');
  const over = cluster.fault(() => new Refusal(500, 'InternalError', 'broken'));
  cluster.cut();
  t.match(await done, { result: 'setup_failed' });
  over();
  kubelet.faults.missingImages.clear();
  await sandbox.close();
});

t.test('a cluster that takes no job is no isolation', async (t) => {
  const refuse = (refusal: Refusal) =>
    cluster.fault(({ method, path }) => (method === 'POST' && path.endsWith('/jobs') ? refusal : undefined));
  const over = refuse(new Refusal(403, 'Forbidden', 'exceeded quota: castellan-agents'));
  await t.rejects(isolation.openSandbox(request()), {
    code: 'ISOLATION_UNAVAILABLE',
    problem: { check: 'kubernetes-job', observed: /quota/ },
  });
  over();
});
