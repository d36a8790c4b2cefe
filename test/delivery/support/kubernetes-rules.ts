import { podProblems } from './kubernetes-pod-rules.ts';
import type { Labels, Resource } from './kubernetes-resources.ts';
import { type Problem, problemsOf, settingProblems } from './rules.ts';

/**
 * What is wrong with manifests, by the restricted Pod Security Standard and the rules of this project. No schema of
 * Kubernetes is among the dependencies.
 */
export function kubernetesProblems(resources: readonly Resource[]): string[] {
  return [
    ...resources.flatMap((resource) => {
      const pod = resource.spec?.template?.spec;
      const problems = pod === undefined ? [] : podProblems(pod, resource);
      return problems.map((problem) => `${resource.kind}: ${problem}`);
    }),
    ...settingsProblems(resources),
    ...wholeProblems(resources),
  ];
}

/** The settings lead to files that are mounted, and none is unknown to the service. */
function settingsProblems(resources: readonly Resource[]): string[] {
  return resources.flatMap((resource) => {
    const pod = resource.spec?.template?.spec;
    return (pod?.containers ?? []).flatMap((container) => {
      const maps = (container.envFrom ?? []).map(({ configMapRef }) => configMapRef?.name);
      const found = resources.filter(({ kind, metadata }) => kind === 'ConfigMap' && maps.includes(metadata.name));
      const given = (container.env ?? []).map(({ name, value = '' }) => [name, value] as const);
      const values = [...found.flatMap(({ data = {} }) => Object.entries(data)), ...given];
      const paths = (container.volumeMounts ?? []).map(({ mountPath }) => `${mountPath}/`);
      return problemsOf([
        [found.length !== maps.length, `${container.name}: a config map is missing`],
        ...settingProblems(Object.fromEntries(values)),
        ...values
          .filter(([name]) => name.endsWith('_FILE'))
          .map(([name, file]): Problem => [!paths.some((path) => file.startsWith(path)), `${name}: not mounted`]),
      ]);
    });
  });
}

function wholeProblems(resources: readonly Resource[]): string[] {
  const of = (kind: string): Resource[] => resources.filter((resource) => resource.kind === kind);
  const deployment = of('Deployment')[0];
  const labels = deployment?.spec?.template?.metadata.labels ?? {};
  const selects = (selector: Labels | undefined): boolean =>
    selector !== undefined && Object.entries(selector).every(([name, value]) => labels[name] === value);
  const matchLabels = ({ spec }: Resource): Labels | undefined => {
    const selector = spec?.selector;
    return selector !== undefined && 'matchLabels' in selector && typeof selector['matchLabels'] === 'object'
      ? selector['matchLabels']
      : undefined;
  };
  const service = of('Service')[0];
  const budget = of('PodDisruptionBudget')[0];
  const denial = of('NetworkPolicy').find(({ spec }) => spec?.podSelector?.matchLabels === undefined);
  const ports = deployment?.spec?.template?.spec.containers.flatMap((container) => container.ports ?? []) ?? [];
  const namespace = of('Namespace')[0]?.metadata.labels ?? {};
  const account = of('ServiceAccount')[0];
  return problemsOf([
    [deployment === undefined || !selects(matchLabels(deployment)), 'the deployment selects other pods'],
    [(deployment?.spec?.replicas ?? 1) < 2, 'one replica alone'],
    [deployment?.spec?.strategy?.rollingUpdate?.maxUnavailable !== 0, 'a rollout takes replicas away first'],
    [budget === undefined || !selects(matchLabels(budget)), 'the disruption budget is for other pods'],
    [!((deployment?.spec?.replicas ?? 0) > (budget?.spec?.minAvailable ?? 0)), 'no pod may ever be evicted'],
    [service?.spec?.selector === undefined || !selects(flat(service.spec.selector)), 'the service selects other pods'],
    [
      service?.spec?.ports?.some(({ targetPort }) => targetPort !== 'api') !== false,
      'the service publishes the ops port',
    ],
    [!ports.some(({ name }) => name === 'ops') || !ports.some(({ name }) => name === 'api'), 'ports api and ops'],
    [denial?.spec?.policyTypes?.join() !== 'Ingress,Egress', 'no network policy denies what is not said'],
    [namespace['pod-security.kubernetes.io/enforce'] !== 'restricted', 'the namespace does not enforce restricted'],
    [account?.automountServiceAccountToken !== false, 'ServiceAccount: a token'],
    [deployment?.spec?.template?.spec.serviceAccountName !== account?.metadata.name, 'another service account'],
    [of('Secret').length > 0, 'a secret in the repository'],
  ]);
}

function flat(selector: Labels | { readonly matchLabels: Labels }): Labels | undefined {
  const entries = Object.entries(selector).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}
