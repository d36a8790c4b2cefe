import t from 'tap';

import { reopenedBy } from '../../src/runtime/drivers/kubernetes/preflight/network-policies.ts';
import { isolationTest } from '../support/isolation.ts';
import { Refusal } from './fake-cluster/store.ts';
import { openWorld } from './world.ts';

isolationTest(t);

const { cluster, driver } = await openWorld(t);
const { store, kubelet } = cluster;
const isolation = driver();

t.test('a cluster with the manifests of this project isolates', async (t) => {
  t.match(await isolation.state(), { available: true, limits: 'enforced', version: 'kubernetes v1.35.1-fake' });
  t.same([...store.list('jobs'), ...store.list('pods')], [], 'the canary is gone');
});

t.test('one that lacks something does not, and says what and how to mend it', async (t) => {
  const cases = [
    {
      check: 'kubernetes-access',
      observed: /create pods\/exec/,
      spoil: () => without('roles', 'castellan', (role) => ({ ...role, rules: rulesBut(role, 'pods/exec') })),
    },
    {
      check: 'kubernetes-namespace',
      observed: /enforces baseline/,
      spoil: () => {
        const enforce = 'pod-security.kubernetes.io/enforce';
        store.patch('namespaces', cluster.namespace, { metadata: { labels: { [enforce]: 'baseline' } } });
        return () =>
          void store.patch('namespaces', cluster.namespace, { metadata: { labels: { [enforce]: 'restricted' } } });
      },
    },
    {
      check: 'kubernetes-network-policies',
      observed: /no policy denies ingress/,
      spoil: () => {
        const policy = store.get('networkpolicies', 'default-deny');
        store.delete('networkpolicies', 'default-deny');
        return () => void (policy && store.create('networkpolicies', policy));
      },
    },
    {
      check: 'kubernetes-network-policies',
      observed: /the policy open opens a way out/,
      spoil: () => {
        const spec = { podSelector: {}, policyTypes: ['Egress'], egress: [{}] };
        store.create('networkpolicies', { metadata: { name: 'open' }, spec });
        return () => store.delete('networkpolicies', 'open');
      },
    },
    {
      check: 'kubernetes-canary',
      observed: /it reaches api-server/,
      spoil: () => {
        kubelet.faults.openPorts = [cluster.port];
        return () => {
          kubelet.faults.openPorts = [];
        };
      },
    },
    {
      check: 'kubernetes-canary-memory',
      observed: /ended as ok/,
      spoil: () => {
        kubelet.faults.ignoresMemory = true;
        return () => {
          kubelet.faults.ignoresMemory = false;
        };
      },
    },
    {
      check: 'kubernetes-api',
      observed: /broken/,
      spoil: () => cluster.fault(() => new Refusal(500, 'InternalError', 'broken')),
    },
    {
      check: 'kubernetes-api',
      observed: /Unauthorized/,
      spoil: () => cluster.fault(() => new Refusal(401, 'Unauthorized', 'Unauthorized')),
    },
  ] as const;
  for (const { check, observed, spoil } of cases) {
    const mend = spoil();
    const state = await isolation.recheck();
    t.match(state, { available: false, problem: { check, observed, fix: /\w/ } }, check);
    await t.rejects(isolation.openSandbox(REQUEST), { code: 'ISOLATION_UNAVAILABLE' });
    mend();
  }
  t.match(await isolation.recheck(), { available: true });
});

t.test('a RuntimeClass has to be there', async (t) => {
  const gvisor = driver({ runtimeClass: 'gvisor' });
  t.match(await gvisor.state(), {
    available: false,
    problem: { check: 'kubernetes-access', observed: /runtimeclasses/ },
  });
  const rules = [{ apiGroups: ['node.k8s.io'], resources: ['runtimeclasses'], verbs: ['get'] }];
  store.create('roles', { metadata: { name: 'runtime-class' }, rules });
  t.match(await gvisor.recheck(), { available: false, problem: { check: 'kubernetes-runtime-class' } });
});

t.test('policies that open a way out are seen', async (t) => {
  const deny = policy({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
  const proxied = { matchLabels: { 'castellan.dev/egress': 'proxy' } };
  const peer = { podSelector: { matchLabels: { app: 'castellan' } } };
  const way = (rule: object, podSelector: object = proxied) =>
    reopenedBy([deny, policy({ podSelector, policyTypes: ['Egress'], egress: [rule] })]);
  const ports = [{ protocol: 'TCP', port: 3128 }];
  t.equal(way({ to: [peer], ports }), undefined);
  t.equal(way({ to: [{ ipBlock: { cidr: '10.0.0.7/32' } }], ports }), undefined);
  const wider = [
    [{}, 'everything'],
    [{ to: [peer] }, 'every port'],
    [{ ports }, 'everybody'],
    [{ to: [{}], ports }, 'a peer that says nothing'],
    [{ to: [{ podSelector: {} }], ports }, 'every pod'],
    [{ to: [{ namespaceSelector: {} }], ports }, 'every namespace'],
    [{ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }], ports }, 'every address'],
    [{ to: [{ ipBlock: { cidr: '169.254.169.254/32' } }], ports }, 'metadata'],
    [{ to: [peer], ports: [{ protocol: 'UDP', port: 53 }] }, 'names'],
    [{ to: [peer], ports: [{ protocol: 'TCP', port: 53 }] }, 'names over TCP'],
    [
      { to: [{ podSelector: { matchExpressions: [{ key: 'x', operator: 'DoesNotExist' }] } }], ports },
      'nearly all pods',
    ],
    [{ to: [peer], ports: [...ports, { protocol: 'TCP', port: 443 }] }, 'a second port'],
    [{ to: [{ ipBlock: { cidr: 'fd00:ec2::254/128' } }], ports }, 'metadata over IPv6'],
    [{ to: [peer], ports: [{ protocol: 'TCP', port: 1, endPort: 65_535 }] }, 'a range'],
  ] as const;
  for (const [rule, what] of wider) t.match(way(rule), /wider/, what);
  const second = policy({
    podSelector: proxied,
    policyTypes: ['Egress'],
    egress: [{ to: [peer], ports: [{ port: 443 }] }],
  });
  const ours = policy({ podSelector: proxied, policyTypes: ['Egress'], egress: [{ to: [peer], ports }] });
  t.match(reopenedBy([deny, ours, second]), /wider/, 'a second port by another policy');
  t.match(way({ to: [peer], ports }, {}), /for pods that have none/);
  t.match(reopenedBy([]), /no policy denies ingress/);
  t.match(reopenedBy([policy({ podSelector: {}, policyTypes: ['Ingress'] })]), /no policy denies egress/);
  t.match(
    reopenedBy([deny, policy({ podSelector: {}, policyTypes: ['Ingress'], ingress: [{}] })]),
    /lets something in/,
  );
});

const REQUEST = {
  runId: '00000000-0000-4000-8000-000000000001',
  workspaceId: 'w',
  agentId: '00000000-0000-4000-8000-000000000002',
  limits: { cpu: 1, memoryBytes: 64e6, pids: 32, diskBytes: 8e6 },
  env: {},
  allowDomains: [],
  lifetimeMs: 60_000,
};

type Policy = Parameters<typeof reopenedBy>[0][number];

function policy(spec: Policy['spec']): Policy {
  return { metadata: { name: 'p', uid: 'u', resourceVersion: '1' }, spec };
}

function rulesBut(role: Readonly<Record<string, unknown>>, resource: string) {
  const rules: unknown = role['rules'];
  return Array.isArray(rules) ? rules.filter((rule) => !JSON.stringify(rule).includes(resource)) : [];
}

function without(
  plural: 'roles',
  name: string,
  change: (object: NonNullable<ReturnType<typeof store.get>>) => NonNullable<ReturnType<typeof store.get>>,
): () => void {
  const before = store.get(plural, name);
  if (before === undefined) throw new Error(`there is no ${name}`);
  store.delete(plural, name);
  store.create(plural, change(before));
  return () => {
    store.delete(plural, name);
    store.create(plural, before);
  };
}
