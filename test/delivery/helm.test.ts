import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';

import { ROOT } from './support/container.ts';
import { CHART, helmObjects, helmTexts, valueProblems } from './support/helm-chart.ts';
import { resourcesOf } from './support/kubernetes-resources.ts';
import { kubernetesProblems } from './support/kubernetes-rules.ts';
import { schemaProblems } from './support/kubernetes-schemas.ts';
import { identity, kustomized, listed, type Manifest, member } from './support/kustomize.ts';
import { podSpecs, restrictedProblems } from './support/pod-security.ts';

const SANDBOX = 'registry.example/castellan-sandbox:0.1.0';
const AGENTS = { enabled: true, image: SANDBOX };
const ON = { enabled: true };
const EVERYTHING = {
  agents: { ...AGENTS, runtimeClass: 'gvisor' },
  autoscaling: ON,
  serviceMonitor: ON,
  remoteSigner: ON,
};

const sorted = (objects: readonly Manifest[]) => [...objects].sort((a, b) => (identity(a) < identity(b) ? -1 : 1));
/** The namespace of the release is not the chart's to make. */
const withoutNamespace = (objects: readonly Manifest[]) =>
  objects.filter((object) => identity(object) !== 'v1 Namespace  castellan');
const find = (objects: readonly Manifest[], kind: string): Manifest | undefined =>
  objects.find((object) => object['kind'] === kind);

for (const [folder, values] of [
  ['base', {}],
  ['with-agents', { agents: AGENTS }],
  ['complete', EVERYTHING],
] as const) {
  t.test(`the chart makes what deploy/kubernetes/${folder} makes`, async (t) => {
    const wanted = withoutNamespace(kustomized(join(ROOT, 'deploy/kubernetes', folder)));
    t.same(sorted(helmObjects({ values })), sorted(wanted));
  });
}

t.test('the job of the migration is that of deploy/kubernetes/migrate, as a hook', async (t) => {
  const job = find(helmObjects({ values: { migrate: ON } }), 'Job');
  t.equal(member(job, 'metadata', 'annotations', 'helm.sh/hook'), 'pre-install,pre-upgrade');
  t.same(job?.['spec'], find(kustomized(join(ROOT, 'deploy/kubernetes/migrate')), 'Job')?.['spec']);
});

t.test('whatever is chosen, it is as Kubernetes knows it, and every pod is restricted', async (t) => {
  const objects = helmObjects({ namespace: 'elsewhere', values: { ...EVERYTHING, migrate: ON } });
  t.same(schemaProblems(objects), []);
  t.same(podSpecs(objects).flatMap(restrictedProblems), []);
  t.same(
    new Set(objects.map((object) => member(object, 'metadata', 'namespace'))),
    new Set([undefined, 'elsewhere', 'castellan-agents']),
    'what is in none is of the cluster',
  );
  t.match(JSON.stringify(find(objects, 'RoleBinding')?.['subjects']), '"namespace":"elsewhere"');
  t.match(
    member(find(objects, 'ConfigMap'), 'data', 'CASTELLAN_KUBERNETES_EGRESS_PROXY'),
    'castellan-egress.elsewhere.svc:3128',
  );
});

t.test('the rules of the manifests hold for the chart, too', async (t) => {
  const namespace = readFileSync(join(ROOT, 'deploy/kubernetes/base/namespace.yaml'), 'utf8');
  const texts = [...helmTexts()].flatMap(([name, text]) =>
    name.endsWith('.yaml') && text.trim() !== '' ? [text] : [],
  );
  // The rules want the version in the kustomization; here it is in the values.
  const manifests = [namespace, ...texts].join('\n---\n').replace('"registry.example/castellan:0.1.0"', 'castellan');
  t.same(kubernetesProblems(resourcesOf(manifests)), []);
});

t.test('values that are given', async (t) => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const image = (values: Manifest) => member(listed(podSpecs(helmObjects({ values }))[0]?.['containers'])[0], 'image');
  t.equal(image({ image: { tag: '0.2.0' } }), 'registry.example/castellan:0.2.0');
  t.equal(image({ image: { tag: '0.2.0', digest } }), `registry.example/castellan@${digest}`, 'the digest counts');
  const settings = (values: Manifest) => member(find(helmObjects({ values }), 'ConfigMap'), 'data');
  const odd = 'a: "b" \\ #c {{ d }}';
  t.match(settings({ settings: { CASTELLAN_IDENTITY_TRUST_DOMAIN: odd } }), { CASTELLAN_IDENTITY_TRUST_DOMAIN: odd });
  t.notOk(member(settings({ settings: { NODE_ENV: null } }), 'NODE_ENV'), 'null takes away');
  t.match(settings({ agents: { ...AGENTS, runtimeClass: 'gvisor' } }), {
    CASTELLAN_KUBERNETES_RUNTIME_CLASS: 'gvisor',
  });
});

const REFUSED: readonly (readonly [why: string, values: Manifest, says: RegExp])[] = [
  ['a misspelt value', { replica: 3 }, /additional properties replica/],
  ['a misspelt value further in', { autoscaling: { enable: true } }, /autoscaling .*enable/],
  ['one replica', { replicas: 1 }, /replicas must be >= 2/],
  ['latest', { image: { tag: 'latest' } }, /image\/tag must NOT be valid/],
  ['no digest', { image: { digest: 'abc' } }, /image\/digest must match/],
  ['a setting that is no text', { settings: { CASTELLAN_API_PORT: 1 } }, /must be string/],
  ['agents without an image', { agents: ON }, /agents\/image must NOT have fewer/],
  [
    'a setting that the chart makes',
    { agents: AGENTS, settings: { CASTELLAN_EGRESS_PORT: '1' } },
    /settings property name must be valid/,
  ],
  [
    'the driver, which agents.enabled says',
    { settings: { CASTELLAN_RUNTIME_DRIVER: 'auto' } },
    /settings property name/,
  ],
  ['a variable that is no setting', { settings: { NODE_OPTIONS: '--inspect=0.0.0.0' } }, /settings property name/],
  ['no trust in TLS', { settings: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } }, /settings property name/],
  ['a login as a value', { settings: { DATABASE_URL: 'postgres://u:p@h/d' } }, /settings property name/],
  ['an amount', { agents: { quota: { pods: 'many' } } }, /quota\/pods must match/],
];

t.test('values that are refused', async (t) => {
  for (const [why, values, says] of REFUSED) {
    t.match(valueProblems(values).join('\n'), says, why);
    t.throws(() => helmObjects({ values }), why);
  }
  t.same(valueProblems({ settings: { CASTELLAN_EGRESS_PORT: '1' } }), [], 'without agents it is a setting like others');
  const shared = { values: { agents: { ...AGENTS, namespace: 'castellan' } } };
  t.throws(() => helmObjects(shared), /another namespace/, 'agents beside the service');
});

t.test('the versions are those of the package', async (t) => {
  const { version }: { version: string } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  t.match(parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')), { version, appVersion: version });
});
