import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';

import { ROOT } from './support/container.ts';
import { resourcesOf } from './support/kubernetes-resources.ts';
import { kubernetesProblems } from './support/kubernetes-rules.ts';

interface Kustomization {
  readonly namespace: string;
  readonly resources: readonly string[];
  readonly images: readonly { readonly name: string; readonly newTag?: string }[];
}

const FOLDERS = ['base', 'migrate'].map((name) => join(ROOT, 'deploy/kubernetes', name));
const kustomization = (folder: string): Kustomization =>
  parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8'));
const text = FOLDERS.flatMap((folder) =>
  kustomization(folder).resources.map((name) => readFileSync(join(folder, name), 'utf8')),
).join('\n---\n');
const problems = (manifests: string): string => kubernetesProblems(resourcesOf(manifests)).join('\n');

t.test('the manifests keep the rules', async (t) => {
  t.equal(problems(text), '');
});

t.test('each file is listed, and the version is that of the package', async (t) => {
  const { version }: { version: string } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const folder of FOLDERS) {
    const { resources, images, namespace } = kustomization(folder);
    t.same([...resources, 'kustomization.yaml'].sort(), readdirSync(folder).sort());
    t.match(images, [{ name: 'castellan', newTag: version }]);
    t.equal(namespace, 'castellan');
  }
  const compose: { services: { castellan: { image: string } } } = parse(
    readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'),
    { merge: true },
  );
  t.equal(compose.services.castellan.image, `castellan:${version}`);
});

/** What is changed, in the first place where it is → what must be said about it. */
const MISTAKES: readonly (readonly [why: string, from: string | RegExp, to: string, says: RegExp])[] = [
  ['root', 'runAsUser: 10001', 'runAsUser: 0', /Deployment: runs as root/],
  ['perhaps root', 'runAsNonRoot: true', 'runAsNonRoot: false', /Deployment: runs as root/],
  ['no seccomp', 'seccompProfile: { type: RuntimeDefault }', 'seccompProfile: { type: Unconfined }', /seccomp/],
  ['the wrong group', 'fsGroup: 10001', 'fsGroup: 1', /fsGroup/],
  ['a token', /(castellan\n {6}automountServiceAccountToken:) false/, '$1 true', /Deployment: a token/],
  [
    'a token of the account',
    /(kind: ServiceAccount[\s\S]*?automountServiceAccountToken:) false/,
    '$1 true',
    /ServiceAccount: a token/,
  ],
  ["Kubernetes' variables", 'enableServiceLinks: false', '', /enableServiceLinks/],
  [
    'the network of the host',
    'enableServiceLinks: false',
    'enableServiceLinks: false\n      hostNetwork: true',
    /hostNetwork: not a key/,
  ],
  ['a directory of the host', 'emptyDir: { sizeLimit: 64Mi }', 'hostPath: { path: / }', /volume tmp: not of a kind/],
  ['a disk without end', 'emptyDir: { sizeLimit: 64Mi }', 'emptyDir: {}', /volume tmp: without a limit/],
  [
    'keys for everyone',
    'castellan-signing-keys, defaultMode: 0400',
    'castellan-signing-keys, defaultMode: 0444',
    /volume keys: mode/,
  ],
  [
    'a decimal mode',
    'castellan-signing-keys, defaultMode: 0400',
    'castellan-signing-keys, defaultMode: 400',
    /volume keys: mode/,
  ],
  ['no mode', 'castellan-signing-keys, defaultMode: 0400', 'castellan-signing-keys', /volume keys: mode/],
  ['escalation', 'allowPrivilegeEscalation: false', 'allowPrivilegeEscalation: true', /allowPrivilegeEscalation/],
  ['privileged', 'allowPrivilegeEscalation: false', 'privileged: true', /allowPrivilegeEscalation/],
  ['writable', 'readOnlyRootFilesystem: true', 'readOnlyRootFilesystem: false', /readOnlyRootFilesystem/],
  ['misspelt', 'readOnlyRootFilesystem: true', 'readOnlyRootFileSystem: true', /readOnlyRootFilesystem/],
  ['capabilities', 'drop: [ALL]', 'drop: [NET_RAW]', /capabilities/],
  ['a capability back', 'drop: [ALL]', 'drop: [ALL], add: [SYS_ADMIN]', /capabilities/],
  ['no requests', 'requests: { cpu: 250m, memory: 384Mi }', 'requests: {}', /requests/],
  ['no limit', 'limits: { memory: 768Mi }', 'limits: {}', /limits/],
  ['a shell', 'args: [serve]', 'command: [sh, -c, serve]', /command: not a key/],
  ['latest', 'image: castellan', 'image: castellan:latest', /image/],
  ['a mount of nothing', '{ name: keys, mountPath', '{ name: key, mountPath', /mount key: no such volume/],
  [
    'a writable mount',
    'mountPath: /etc/castellan/tls, readOnly: true',
    'mountPath: /etc/castellan/tls',
    /mount tls: writable/,
  ],
  ['no startup probe', 'startupProbe', 'startupProbes', /startupProbe: not/],
  ['liveness by readiness', /(livenessProbe:\s+httpGet: { path: )\/livez/, '$1/readyz', /livenessProbe: not \/livez/],
  ['readiness by liveness', 'path: /readyz', 'path: /livez', /readinessProbe: not \/readyz/],
  ['probes of the API', 'path: /readyz, port: ops', 'path: /readyz, port: api', /readinessProbe/],
  ['no preStop', 'preStop:', 'postStart:', /preStop/],
  ['killed', 'terminationGracePeriodSeconds: 45', 'terminationGracePeriodSeconds: 30', /killed while/],
  ['killed by default', 'terminationGracePeriodSeconds: 45', '', /killed while/],
  ['one place', 'topologySpreadConstraints', 'topologySpread', /topologySpreadConstraints|topologySpread:/],
  ['a misspelt setting', 'CASTELLAN_OPS_HOST', 'CASTELLAN_OPS_HOTS', /CASTELLAN_OPS_HOTS: not a setting/],
  ['a secret by value', /DATABASE_URL_FILE: .*/, 'DATABASE_URL: postgres://a:b@c/d', /DATABASE_URL: a secret/],
  [
    'a file that is not there',
    '/etc/castellan/keys/audit',
    '/etc/castellan/audit',
    /AUDIT_SIGNING_KEY_FILE: not mounted/,
  ],
  ['no settings', '{ name: castellan-settings }', '{ name: castellan-setting }', /config map is missing/],
  ['one replica', 'replicas: 2', 'replicas: 1', /one replica/],
  ['a gap in each rollout', 'maxUnavailable: 0', 'maxUnavailable: 1', /rollout/],
  ['a budget for others', /(minAvailable: 1[\s\S]*?component: )service/, '$1api', /disruption budget is for other/],
  ['a budget that blocks', 'minAvailable: 1', 'minAvailable: 2', /evicted/],
  ['a service for others', /(selector: {[^}]*component: )service/, '$1api', /service selects other/],
  ['the ops port for all', 'targetPort: api', 'targetPort: ops', /publishes the ops port/],
  ['an open network', 'policyTypes: [Ingress, Egress]', 'policyTypes: [Ingress]', /denies/],
  ['a lax namespace', 'enforce: restricted', 'enforce: baseline', /enforce restricted/],
  ['a secret', /$/, '\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: x }\n', /a secret in the repository/],
];

t.test('and each of these mistakes is found', async (t) => {
  for (const [why, from, to, says] of MISTAKES) {
    const spoilt = text.replace(from, to);
    t.not(spoilt, text, `${why}: the mistake is in`);
    t.match(problems(spoilt), says, why);
  }
});
