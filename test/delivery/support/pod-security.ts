import { isMap, listed, type Manifest, member, type Value } from './kustomize.ts';
import { type Problem, problemsOf } from './rules.ts';

/** Volumes that the Pod Security Standard "restricted" allows. */
const VOLUMES = [
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret'],
  'image',
];
const SYSCTLS = [
  ...['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.ip_unprivileged_port_start'],
  ...['net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range', 'net.ipv4.ip_local_reserved_ports'],
  ...['net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl'],
  ...['net.ipv4.tcp_keepalive_probes', 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem'],
];

/** The pods in objects of any kind: pods themselves, and templates of deployments and jobs. */
export function podSpecs(objects: readonly Manifest[]): Manifest[] {
  return objects.flatMap((object) => {
    const pod = object['kind'] === 'Pod' ? object['spec'] : member(object, 'spec', 'template', 'spec');
    return isMap(pod) ? [pod] : [];
  });
}

/**
 * Where a pod breaks the Pod Security Standard "restricted", which holds that of "baseline", by
 * https://kubernetes.io/docs/concepts/security/pod-security-standards/. AppArmor, SELinux and Windows are refused whole.
 */
export function restrictedProblems(pod: Manifest): string[] {
  const context = pod['securityContext'];
  const containers = ['initContainers', 'containers', 'ephemeralContainers'].flatMap((name) => listed(pod[name]));
  return problemsOf([
    ...['hostNetwork', 'hostPID', 'hostIPC'].map((name): Problem => [(pod[name] ?? false) !== false, name]),
    [containers.length === 0, 'no container'],
    ...listed(pod['volumes']).map((volume): Problem => [!isAllowed(volume), `volume ${member(volume, 'name')}`]),
    ...listed(member(context, 'sysctls')).map(
      (one): Problem => [!SYSCTLS.includes(String(member(one, 'name'))), 'sysctls'],
    ),
    ...unusual(context),
    ...containers.flatMap((container) => containerProblems(container, context)),
  ]);
}

function isAllowed(volume: Value): boolean {
  const kinds = isMap(volume) ? Object.keys(volume).filter((name) => name !== 'name') : [];
  return kinds.length === 1 && VOLUMES.includes(kinds[0] ?? '');
}

function containerProblems(container: Value, pod: Value | undefined): Problem[] {
  const own = member(container, 'securityContext');
  const either = (name: string): Value | undefined => member(own, name) ?? member(pod, name);
  const seccomp = member(either('seccompProfile'), 'type');
  const added = listed(member(own, 'capabilities', 'add'));
  return [
    [member(own, 'privileged') === true, 'privileged'],
    [member(own, 'allowPrivilegeEscalation') !== false, 'allowPrivilegeEscalation'],
    [!listed(member(own, 'capabilities', 'drop')).includes('ALL'), 'capabilities: drop'],
    [added.some((name) => name !== 'NET_BIND_SERVICE'), 'capabilities: add'],
    [either('runAsNonRoot') !== true, 'runAsNonRoot'],
    [either('runAsUser') === 0, 'runAsUser'],
    [seccomp !== 'RuntimeDefault' && seccomp !== 'Localhost', 'seccompProfile'],
    [(member(own, 'procMount') ?? 'Default') !== 'Default', 'procMount'],
    [listed(member(container, 'ports')).some((port) => (member(port, 'hostPort') ?? 0) !== 0), 'hostPort'],
    ...unusual(own),
  ];
}

function unusual(context: Value | undefined): Problem[] {
  const names = ['appArmorProfile', 'seLinuxOptions', 'windowsOptions'];
  return names.map((name): Problem => [member(context, name) !== undefined, name]);
}
