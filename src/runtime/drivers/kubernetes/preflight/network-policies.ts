import type { NetworkPolicy } from '../client/resources.ts';
import { LABEL } from '../labels.ts';

type Selector = NetworkPolicy['spec']['podSelector'];
type Rule = NonNullable<NetworkPolicy['spec']['egress']>[number];

/** Of name servers, which speak TCP as well: names can carry out what no connection does. */
const DNS = 53;
/** Where clouds tell an instance its secrets. */
const METADATA = /^(?:169\.254\.|fd00:ec2:|fe80:)/i;

const EGRESS = { [LABEL.egress]: 'proxy' };

/**
 * What is wrong with the policies of the namespace, undefined when nothing is: every pod is closed in both directions, and
 * only those with the label of the proxy have a way out, to pods or one address, on one port for all, as the proxy has.
 */
export function reopenedBy(policies: readonly NetworkPolicy[]): string | undefined {
  for (const direction of ['Ingress', 'Egress'] as const) {
    const closed = policies.some(({ spec }) => selectsAll(spec.podSelector) && typesOf(spec).includes(direction));
    if (!closed) return `no policy denies ${direction.toLowerCase()} to every pod`;
  }
  const opened = new Set<number | string | undefined>();
  for (const { metadata, spec } of policies) {
    const name = `the policy ${metadata.name}`;
    const rules = typesOf(spec).includes('Egress') ? (spec.egress ?? []) : [];
    if (typesOf(spec).includes('Ingress') && (spec.ingress ?? []).length > 0) return `${name} lets something in`;
    if (rules.length === 0) continue;
    if (!isForProxied(spec.podSelector)) return `${name} opens a way out for pods that have none`;
    for (const { port } of rules.flatMap(({ ports = [] }) => ports)) opened.add(port);
    if (!rules.every(isNarrow) || opened.size > 1)
      return `${name} opens a way out that is wider than one to the egress proxy`;
  }
  return undefined;
}

/** Kubernetes: without policyTypes it is Ingress, and Egress when there are rules for it. */
function typesOf({ policyTypes, egress }: NetworkPolicy['spec']): readonly string[] {
  return policyTypes ?? (egress === undefined ? ['Ingress'] : ['Ingress', 'Egress']);
}

function selectsAll(selector: Selector): boolean {
  return Object.keys(selector?.matchLabels ?? {}).length === 0 && (selector?.matchExpressions ?? []).length === 0;
}

/** Pods without the label are never selected by it, whatever else it asks. */
function isForProxied(selector: Selector): boolean {
  return selector?.matchLabels?.[LABEL.egress] === EGRESS[LABEL.egress];
}

function isNarrow({ to = [], ports = [] }: Rule): boolean {
  const named =
    ports.length > 0 &&
    ports.every(
      ({ port, endPort, protocol = 'TCP' }) =>
        port !== undefined && port !== DNS && endPort === undefined && protocol === 'TCP',
    );
  return named && to.length > 0 && to.every(isNarrowPeer);
}

function isNarrowPeer({ podSelector, ipBlock }: NonNullable<Rule['to']>[number]): boolean {
  if (ipBlock !== undefined) return /\/(?:32|128)$/.test(ipBlock.cidr) && !METADATA.test(ipBlock.cidr);
  // Expressions alone may say which pods it is not.
  return Object.keys(podSelector?.matchLabels ?? {}).length > 0;
}
