import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { ROOT } from './support/container.ts';
import { schemaProblems } from './support/kubernetes-schemas.ts';
import { documents, identity, kustomized, type Manifest, member } from './support/kustomize.ts';
import { podSpecs, restrictedProblems } from './support/pod-security.ts';

const DIR = join(ROOT, 'deploy/kubernetes');
/** What can be applied; components are in `complete`. */
const FOLDERS = readdirSync(DIR).filter((name) => name !== 'components');
const text = (object: Manifest | undefined): string => JSON.stringify(object);

for (const folder of FOLDERS) {
  t.test(`${folder}: every object is as Kubernetes knows it, every pod is restricted`, async (t) => {
    const objects = kustomized(join(DIR, folder));
    t.ok(objects.length > 0);
    t.same(schemaProblems(objects), []);
    t.same(podSpecs(objects).flatMap(restrictedProblems), []);
    const names = objects.map(identity);
    t.equal(new Set(names).size, names.length, 'each once');
    for (const object of objects.filter(({ kind }) => kind !== 'Namespace' && !String(kind).startsWith('Cluster'))) {
      t.match(member(object, 'metadata', 'namespace'), /^castellan(-agents)?$/, identity(object));
    }
  });
}

const KUBECTL = 'kubectl';
const hasKubectl = spawnSync(KUBECTL, ['kustomize', '--help']).status === 0;

t.test('kubectl makes the same of them', { skip: hasKubectl ? false : 'kubectl is not installed' }, async (t) => {
  const sorted = (objects: readonly Manifest[]) => [...objects].sort((a, b) => (identity(a) < identity(b) ? -1 : 1));
  for (const folder of FOLDERS) {
    const theirs = execFileSync(KUBECTL, ['kustomize', join(DIR, folder)], { encoding: 'utf8' });
    t.same(sorted(kustomized(join(DIR, folder))), sorted(documents(theirs)), folder);
  }
});

/** Kind → what is changed → what must be said about it. */
const MISTAKES: readonly (readonly [kind: string, from: string | RegExp, to: string, says: RegExp])[] = [
  ['Deployment', '"revisionHistoryLimit"', '"revisions"', /\/spec must NOT have additional properties revisions$/m],
  [
    'Deployment',
    '"revisionHistoryLimit":5',
    '"revisionHistoryLimit":"5"',
    /\/spec\/revisionHistoryLimit must be integer/,
  ],
  ['Deployment', '"sleep":{"seconds":5}', '"sleep":{"second":5}', /sleep must have required property 'seconds'/],
  ['Deployment', '"envFrom"', '"envfrom"', /additional properties envfrom/],
  ['Deployment', 'apps/v1', 'apps/v1beta1', /no such kind/],
  ['NetworkPolicy', '"podSelector"', '"podselector"', /additional properties podselector/],
  ['Service', '"targetPort"', '"target"', /additional properties target/],
  ['PodDisruptionBudget', '"minAvailable"', '"min"', /additional properties min/],
  ['HorizontalPodAutoscaler', '"maxReplicas"', '"max"', /required property 'maxReplicas'/],
  ['Role', '"verbs"', '"verb"', /required property 'verbs'/],
  ['RoleBinding', '"roleRef"', '"role"', /required property 'roleRef'/],
  ['ResourceQuota', '"hard"', '"soft"', /additional properties soft/],
  ['LimitRange', '"defaultRequest"', '"defaultRequests"', /additional properties defaultRequests/],
  ['ServiceMonitor', '"endpoints"', '"endpoint"', /additional properties endpoint/],
  ['ServiceMonitor', '"30s"', '30', /interval must be string/],
];

t.test('a mistake in a member is found', async (t) => {
  const objects = kustomized(join(DIR, 'complete'));
  for (const [kind, from, to, says] of MISTAKES) {
    const whole = text(objects.find((object) => object['kind'] === kind));
    const spoilt = whole.replace(from, to);
    t.not(spoilt, whole, `${kind}: the mistake is in`);
    t.match(schemaProblems([JSON.parse(spoilt)]).join('\n'), says, `${kind}: ${to}`);
  }
});

const RELAXED: readonly (readonly [from: string, to: string, says: string])[] = [
  ['"runAsNonRoot":true', '"runAsNonRoot":false', 'runAsNonRoot'],
  ['"runAsUser":10001', '"runAsUser":0', 'runAsUser'],
  ['"type":"RuntimeDefault"', '"type":"Unconfined"', 'seccompProfile'],
  ['"allowPrivilegeEscalation":false', '"allowPrivilegeEscalation":true', 'allowPrivilegeEscalation'],
  ['"allowPrivilegeEscalation":false', '"privileged":true', 'privileged'],
  ['"drop":["ALL"]', '"drop":["NET_RAW"]', 'capabilities: drop'],
  ['"drop":["ALL"]', '"drop":["ALL"],"add":["NET_ADMIN"]', 'capabilities: add'],
  ['"emptyDir":{"sizeLimit":"64Mi"}', '"hostPath":{"path":"/"}', 'volume tmp'],
  ['"enableServiceLinks":false', '"hostNetwork":true', 'hostNetwork'],
  ['"enableServiceLinks":false', '"hostPID":true', 'hostPID'],
  ['"enableServiceLinks":false', '"hostIPC":true', 'hostIPC'],
  ['"containerPort":9464', '"containerPort":9464,"hostPort":9464', 'hostPort'],
  ['"readOnlyRootFilesystem":true', '"procMount":"Unmasked"', 'procMount'],
  ['"readOnlyRootFilesystem":true', '"seLinuxOptions":{"type":"spc_t"}', 'seLinuxOptions'],
  ['"fsGroup":10001', '"sysctls":[{"name":"kernel.msgmax","value":"1"}]', 'sysctls'],
];

t.test('a pod that is not restricted is found', async (t) => {
  const [pod] = podSpecs(kustomized(join(DIR, 'base')));
  for (const [from, to, says] of RELAXED) {
    const spoilt = text(pod).replace(from, to);
    t.not(spoilt, text(pod), `${to}: the mistake is in`);
    t.ok(restrictedProblems(JSON.parse(spoilt)).includes(says), to);
  }
});
