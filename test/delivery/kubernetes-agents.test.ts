import { join } from 'node:path';
import t from 'tap';

import { RUNTIME_SETTINGS } from '../../src/config/runtime-settings.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { LABEL } from '../../src/runtime/drivers/kubernetes/labels.ts';
import { PERMISSIONS, RUNTIME_CLASS_PERMISSION } from '../../src/runtime/drivers/kubernetes/permissions.ts';
import { podTemplate } from '../../src/runtime/drivers/kubernetes/pod-template.ts';
import { reopenedBy } from '../../src/runtime/drivers/kubernetes/preflight/network-policies.ts';
import { ROOT } from './support/container.ts';
import { schemaProblems } from './support/kubernetes-schemas.ts';
import { identity, isMap, kustomized, listed, type Manifest, member, type Value } from './support/kustomize.ts';
import { restrictedProblems } from './support/pod-security.ts';

const objects = kustomized(join(ROOT, 'deploy/kubernetes/complete'));
const AGENTS = 'castellan-agents';
const MIB = 1_048_576;

const find = (kind: string, name: string): Manifest | undefined =>
  objects.find((object) => object['kind'] === kind && member(object, 'metadata', 'name') === name);
const ofAgents = objects.filter((object) => member(object, 'metadata', 'namespace') === AGENTS);

t.test('the role grants what the driver asks for, and nothing else', async (t) => {
  const wanted = ({ group, resource, subresource, verbs }: (typeof PERMISSIONS)[number]) => ({
    apiGroups: [group],
    resources: [subresource === undefined ? resource : `${resource}/${subresource}`],
    verbs: [...verbs],
  });
  t.same(find('Role', 'castellan')?.['rules'], PERMISSIONS.map(wanted));
  t.same(find('ClusterRole', 'castellan-runtime-class')?.['rules'], [wanted(RUNTIME_CLASS_PERMISSION)]);
  const kinds = objects.filter(({ kind }) => /Role/.test(String(kind))).map(identity);
  t.equal(kinds.length, 4, 'no other role, no other binding');
  t.notMatch(JSON.stringify(objects.filter(({ kind }) => /Role$/.test(String(kind)))), '"*"');
  for (const binding of ['RoleBinding', 'ClusterRoleBinding']) {
    const [object] = objects.filter(({ kind }) => kind === binding);
    t.same(object?.['subjects'], [{ kind: 'ServiceAccount', name: 'castellan', namespace: 'castellan' }]);
  }
});

t.test('the namespace is closed, as the driver wants it', async (t) => {
  t.match(find('Namespace', AGENTS), { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } });
  t.equal(reopenedBy(policies()), undefined);
  const wider = policies().map((policy) => ({ ...policy, spec: { ...policy.spec, podSelector: {} } }));
  t.match(reopenedBy(wider), /opens a way out/, 'the driver sees it when it is not');
  const [, way] = ofAgents.filter(({ kind }) => kind === 'NetworkPolicy');
  const to = listed(member(way, 'spec', 'egress'))[0];
  t.match(to, { ports: [{ protocol: 'TCP', port: 3128 }] });
  const labels = member(find('Deployment', 'castellan'), 'spec', 'template', 'metadata', 'labels');
  t.same(member(listed(member(to, 'to'))[0], 'podSelector', 'matchLabels'), labels, 'to the service');
  const [ingress] = listed(member(find('NetworkPolicy', 'castellan-agents'), 'spec', 'ingress'));
  t.match(ingress, {
    from: [
      {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': AGENTS } },
        podSelector: { matchLabels: { [LABEL.egress]: 'proxy' } },
      },
    ],
  });
});

/** As the API server answers them. */
function policies() {
  return ofAgents
    .filter(({ kind }) => kind === 'NetworkPolicy')
    .map((object) => {
      const policy: Parameters<typeof reopenedBy>[0][number] = JSON.parse(JSON.stringify(object));
      return policy;
    });
}

t.test('the settings fit: names, ports and the service account', async (t) => {
  const data = member(find('ConfigMap', 'castellan-settings'), 'data');
  t.match(data, {
    CASTELLAN_RUNTIME_DRIVER: 'kubernetes',
    CASTELLAN_KUBERNETES_NAMESPACE: AGENTS,
    CASTELLAN_KUBERNETES_RUNTIME_CLASS: 'gvisor',
  });
  for (const name of isMap(data) ? Object.keys(data) : []) {
    t.ok(Object.hasOwn(SETTINGS, name) || Object.hasOwn(SETTINGS, name.replace(/_FILE$/, '')), `${name} is a setting`);
  }
  t.equal(member(data, 'CASTELLAN_KUBERNETES_NAMESPACE'), RUNTIME_SETTINGS.CASTELLAN_KUBERNETES_NAMESPACE.default);
  const port = Number(member(data, 'CASTELLAN_EGRESS_PORT'));
  const service = find('Service', 'castellan-egress');
  t.equal(member(data, 'CASTELLAN_KUBERNETES_EGRESS_PROXY'), `castellan-egress.castellan.svc:${port}`);
  t.match(member(service, 'spec', 'ports'), [{ port, targetPort: 'egress' }]);
  const pod = member(find('Deployment', 'castellan'), 'spec', 'template', 'spec');
  t.match(member(listed(member(pod, 'containers'))[0], 'ports'), [{ name: 'egress', containerPort: port }]);
  t.equal(member(pod, 'automountServiceAccountToken'), true);
  const base = kustomized(join(ROOT, 'deploy/kubernetes/base')).find(({ kind }) => kind === 'ConfigMap');
  t.equal(member(base, 'data', 'CASTELLAN_RUNTIME_DRIVER'), 'off');
});

t.test('a pod with the highest limits is restricted, and within what one may have', async (t) => {
  const most = (name: keyof typeof RUNTIME_SETTINGS): number => {
    const setting = RUNTIME_SETTINGS[name];
    return 'default' in setting ? Number(setting.default) : Number.NaN;
  };
  const template: Manifest = JSON.parse(
    JSON.stringify(
      podTemplate(
        {
          id: 'run',
          labels: {},
          image: 'registry.example/castellan-sandbox:0.1.0',
          command: ['sleep'],
          limits: {
            cpu: most('CASTELLAN_SANDBOX_MAX_CPU'),
            memoryBytes: most('CASTELLAN_SANDBOX_MAX_MEMORY_MB') * MIB,
            pids: most('CASTELLAN_SANDBOX_MAX_PIDS'),
            diskBytes: most('CASTELLAN_SANDBOX_MAX_DISK_MB') * MIB,
          },
          restartPolicy: 'Never',
          graceSeconds: 0,
        },
        { runtimeClass: 'gvisor' },
      ),
    ),
  );
  const pod = { apiVersion: 'v1', kind: 'Pod', ...template };
  t.same(schemaProblems([pod]), []);
  t.same(isMap(template['spec']) ? restrictedProblems(template['spec']) : ['no pod'], []);
  const asked = member(listed(member(template['spec'], 'containers'))[0], 'resources', 'limits');
  const [range] = listed(member(find('LimitRange', AGENTS), 'spec', 'limits'));
  for (const name of ['cpu', 'memory', 'ephemeral-storage']) {
    const [one, highest] = [amount(member(asked, name)), amount(member(range, 'max', name))];
    t.ok(one > 0 && one <= highest, `${name}: ${one} of ${highest}`);
  }
});

const UNITS: Readonly<Record<string, number>> = { '': 1, m: 0.001, Ki: 1024, Mi: MIB, Gi: 1024 * MIB };

/** A quantity of Kubernetes as a number. */
function amount(quantity: Value | undefined): number {
  const [, figure, unit = ''] = /^([\d.]+)(\w*)$/.exec(String(quantity)) ?? [];
  return Number(figure) * (UNITS[unit] ?? Number.NaN);
}
