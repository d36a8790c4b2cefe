import type { ClusterAgent } from '../../isolation.ts';
import type { Cluster } from './cluster.ts';
import { EGRESS_KEY, NO_PROXY, proxyVariables } from './egress.ts';
import { ADMISSION_GATE, ANNOTATION, agentName, LABEL, workspaceLabel } from './labels.ts';
import { type EnvVar, podTemplate } from './pod-template.ts';

/** Seconds that a pod gets when the cluster moves it; a stop says its own. */
const GRACE_SECONDS = 10;

/**
 * The deployment of an agent. Its pods are the same in every generation of the same spec, so that scaling restarts none; files
 * of secrets that change are changed in place by the kubelet. `resourceVersion`: of what it replaces.
 */
export function agentDeployment({ config }: Cluster, agent: ClusterAgent, resourceVersion: string | undefined): object {
  const name = agentName(agent.agentId);
  const hasEgress = agent.allowDomains.length > 0;
  const selector = { [LABEL.kind]: 'agent', [LABEL.agent]: agent.agentId };
  const labels = {
    ...selector,
    [LABEL.managedBy]: 'castellan',
    [LABEL.workspace]: workspaceLabel(agent.workspaceId),
    ...(hasEgress ? { [LABEL.egress]: 'proxy' } : {}),
  };
  const annotations = {
    [ANNOTATION.workspace]: agent.workspaceId,
    ...(hasEgress ? { [ANNOTATION.allowDomains]: JSON.stringify(agent.allowDomains) } : {}),
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name,
      labels,
      annotations: { ...annotations, [ANNOTATION.generation]: String(agent.generation) },
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    spec: {
      replicas: agent.replicas,
      revisionHistoryLimit: 0,
      selector: { matchLabels: selector },
      // A new launch waits for its admission; the old one must not run on meanwhile.
      strategy: { type: 'Recreate' },
      template: podTemplate(
        {
          id: agent.agentId,
          labels,
          annotations,
          image: agent.image ?? config.image,
          command: agent.command?.map(literal),
          args: agent.args.map(literal),
          env: variables(agent, hasEgress ? name : undefined),
          limits: agent.limits,
          restartPolicy: 'Always',
          graceSeconds: GRACE_SECONDS,
          gate: ADMISSION_GATE,
          secret: agent.secrets.size === 0 ? undefined : { name, files: [...agent.secrets.keys()] },
        },
        config,
      ),
    },
  };
}

/** Whether it has a Secret, for files or for its way out. */
export function hasSecret(agent: ClusterAgent): boolean {
  return agent.secrets.size > 0 || agent.allowDomains.length > 0;
}

export function agentSecret(agent: ClusterAgent, data: Readonly<Record<string, string>>, owner: string): object {
  const name = agentName(agent.agentId);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name,
      labels: {
        [LABEL.managedBy]: 'castellan',
        [LABEL.kind]: 'agent',
        [LABEL.agent]: agent.agentId,
        [LABEL.workspace]: workspaceLabel(agent.workspaceId),
      },
      // Goes with the deployment, whoever deletes it.
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name, uid: owner }],
    },
    data,
  };
}

/** Files of the agent in base64, as the API has them. A name that is no key of a Secret is refused by the API server. */
export function secretFiles(agent: ClusterAgent): Record<string, string> {
  return Object.fromEntries([...agent.secrets].map(([name, value]) => [name, value.toString('base64')]));
}

function variables({ env }: ClusterAgent, secret: string | undefined): EnvVar[] {
  const own = Object.entries(env).map(([name, value]) => ({ name, value: literal(value) }));
  if (secret === undefined) return own;
  const proxy = Object.keys(proxyVariables('')).map((name) =>
    name.toLowerCase() === 'no_proxy'
      ? { name, value: NO_PROXY }
      : { name, valueFrom: { secretKeyRef: { name: secret, key: EGRESS_KEY.url } } },
  );
  return [...own.filter(({ name }) => !proxy.some((other) => other.name === name)), ...proxy];
}

/** A cluster replaces $(NAME) in arguments and values; $$ stands for a dollar. */
function literal(text: string): string {
  return text.replaceAll('$', '$$$$');
}
