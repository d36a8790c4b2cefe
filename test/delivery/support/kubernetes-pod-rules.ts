import type { Container, Pod, Resource, Volume } from './kubernetes-resources.ts';
import { type Problem, problemsOf, settingProblems } from './rules.ts';

/** Closed: the API server would drop a misspelt key, or refuse it; here it is found before. */
const POD_KEYS = [
  ...['automountServiceAccountToken', 'enableServiceLinks', 'serviceAccountName', 'terminationGracePeriodSeconds'],
  ...['securityContext', 'topologySpreadConstraints', 'containers', 'volumes', 'restartPolicy'],
];
const CONTAINER_KEYS = [
  ...['name', 'image', 'args', 'env', 'envFrom', 'ports', 'startupProbe', 'livenessProbe', 'readinessProbe'],
  ...['lifecycle', 'securityContext', 'resources', 'volumeMounts'],
];
/** s a drain may take, after which the service ends itself. */
const DRAIN = 30;

/** What is wrong with the pods of a resource: the restricted Pod Security Standard, and what this service needs. */
export function podProblems(pod: Pod, { kind }: Resource): string[] {
  const context = pod.securityContext;
  const host = Object.keys(pod).filter((key) => !POD_KEYS.includes(key));
  return [
    ...problemsOf([
      ...host.map((key): Problem => [true, `${key}: not a key we know`]),
      [context?.runAsNonRoot !== true || !((context.runAsUser ?? 0) > 0), 'runs as root, or may'],
      [context?.seccompProfile?.type !== 'RuntimeDefault', 'seccomp'],
      [context?.fsGroup !== context?.runAsGroup, 'fsGroup: the files of the secrets are for another group'],
      [pod.automountServiceAccountToken !== false, 'a token of the service account'],
      // Kubernetes' own CASTELLAN_… variables are no settings, and the service would refuse to start.
      [pod.enableServiceLinks !== false, 'enableServiceLinks'],
      ...(pod.volumes ?? []).flatMap(volumeProblems),
    ]),
    ...pod.containers.flatMap((container) => containerProblems(container, pod)),
    ...(kind === 'Deployment' ? pod.containers.flatMap((container) => serviceProblems(container, pod)) : []),
  ];
}

function volumeProblems(volume: Volume): Problem[] {
  const { name, emptyDir, secret, configMap } = volume;
  return [
    [emptyDir === undefined && secret === undefined && configMap === undefined, `volume ${name}: not of a kind we use`],
    [emptyDir !== undefined && emptyDir.sizeLimit === undefined, `volume ${name}: without a limit`],
    // A key file that others may read is refused by the service.
    [secret !== undefined && secret.defaultMode !== 0o400, `volume ${name}: mode`],
  ];
}

function containerProblems(container: Container, pod: Pod): string[] {
  const context = container.securityContext;
  const { volumeMounts = [] } = container;
  const mounts = volumeMounts.flatMap(({ name, readOnly }): Problem[] => {
    const volume = pod.volumes?.find((one) => one.name === name);
    return [
      [volume === undefined, `mount ${name}: no such volume`],
      [volume?.emptyDir === undefined && readOnly !== true, `mount ${name}: writable`],
    ];
  });
  return problemsOf([
    ...Object.keys(container).map((key): Problem => [!CONTAINER_KEYS.includes(key), `${key}: not a key we know`]),
    [container.image !== 'castellan', 'image: the version is said in the kustomization alone'],
    [context?.allowPrivilegeEscalation !== false, 'allowPrivilegeEscalation'],
    [context?.readOnlyRootFilesystem !== true, 'readOnlyRootFilesystem'],
    [context?.capabilities?.drop?.join() !== 'ALL' || context.capabilities.add !== undefined, 'capabilities'],
    [!hasAll(container.resources?.requests, ['cpu', 'memory']), 'resources: requests'],
    [!hasAll(container.resources?.limits, ['memory']), 'resources: limits'],
    ...mounts,
    ...settingProblems(Object.fromEntries((container.env ?? []).map(({ name, value = '' }) => [name, value]))),
  ]);
}

function serviceProblems(container: Container, pod: Pod): string[] {
  const probes = [
    ['startupProbe', container.startupProbe, '/livez'],
    ['livenessProbe', container.livenessProbe, '/livez'],
    ['readinessProbe', container.readinessProbe, '/readyz'],
  ] as const;
  const sleep = container.lifecycle?.preStop?.sleep?.seconds ?? 0;
  return problemsOf([
    ...probes.map(
      ([name, probe, path]): Problem => [
        probe?.httpGet?.path !== path || probe.httpGet.port !== 'ops',
        `${name}: not ${path} on the ops port`,
      ],
    ),
    [!(sleep > 0), 'preStop: no time for the endpoints to change'],
    [!((pod.terminationGracePeriodSeconds ?? 0) > DRAIN + sleep), 'killed while it drains'],
    [(pod.topologySpreadConstraints ?? []).length === 0, 'topologySpreadConstraints'],
  ]);
}

function hasAll(value: object | undefined, keys: readonly string[]): boolean {
  return value !== undefined && keys.every((key) => Object.hasOwn(value, key));
}
