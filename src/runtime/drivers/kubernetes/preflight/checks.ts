import { IsolationUnavailable } from '../../../errors.ts';
import { isClusterError } from '../client/errors.ts';
import { AccessReview, Anything, listOf, Namespace, NetworkPolicy } from '../client/resources.ts';
import type { Cluster } from '../cluster.ts';
import { PERMISSIONS, type Permission, RUNTIME_CLASS_PERMISSION } from '../permissions.ts';
import { reopenedBy } from './network-policies.ts';

const ENFORCE = 'pod-security.kubernetes.io/enforce';
const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/** Each throws IsolationUnavailable for what it finds missing, or ClusterError. */
export async function checkAccess({ client, config }: Cluster): Promise<void> {
  const wanted = config.runtimeClass === undefined ? PERMISSIONS : [...PERMISSIONS, RUNTIME_CLASS_PERMISSION];
  const questions = wanted.flatMap((permission) => permission.verbs.map((verb) => ({ permission, verb })));
  const answers = await Promise.all(
    questions.map(async ({ permission, verb }) => {
      const body = review(permission, verb, config.namespace);
      const { status } = await client.call(AccessReview, { method: 'POST', path: REVIEWS, body });
      return status.allowed ? [] : [`${verb} ${resourceOf(permission)}`];
    }),
  );
  const missing = answers.flat();
  if (missing.length === 0) return;
  throw new IsolationUnavailable({
    check: 'kubernetes-access',
    observed: `the service account may not: ${missing.join(', ')}`,
    fix: 'Bind the role of deploy/kubernetes/agents to the service account.',
  });
}

export async function checkNamespace({ client, config, paths }: Cluster): Promise<void> {
  const path = paths.namespace;
  const { metadata } = await client.call(Namespace, { method: 'GET', path }).catch((error: unknown) => {
    if (!isClusterError(error, 'NOT_FOUND')) throw error;
    throw new IsolationUnavailable({
      check: 'kubernetes-namespace',
      observed: `there is no namespace ${config.namespace}`,
      fix: 'Apply deploy/kubernetes/agents, or set CASTELLAN_KUBERNETES_NAMESPACE.',
    });
  });
  const enforced = metadata.labels?.[ENFORCE];
  if (enforced === 'restricted') return;
  throw new IsolationUnavailable({
    check: 'kubernetes-namespace',
    observed: `the namespace ${config.namespace} enforces ${enforced ?? 'no Pod Security level'}`,
    fix: `Label it ${ENFORCE}=restricted.`,
  });
}

export async function checkRuntimeClass({ client, config }: Cluster): Promise<void> {
  const { runtimeClass } = config;
  if (runtimeClass === undefined) return;
  const path = `/apis/node.k8s.io/v1/runtimeclasses/${encodeURIComponent(runtimeClass)}`;
  await client.call(Anything, { method: 'GET', path }).catch((error: unknown) => {
    if (!isClusterError(error, 'NOT_FOUND')) throw error;
    throw new IsolationUnavailable({
      check: 'kubernetes-runtime-class',
      observed: `there is no RuntimeClass ${runtimeClass}`,
      fix: 'Make it, or set CASTELLAN_KUBERNETES_RUNTIME_CLASS to one that there is.',
    });
  });
}

/** Policies add up: one that allows more opens what ours close. */
export async function checkNetworkPolicies({ client, paths }: Cluster): Promise<void> {
  const { items } = await client.call(listOf(NetworkPolicy), { method: 'GET', path: paths.networkPolicies });
  const problem = reopenedBy(items);
  if (problem === undefined) return;
  throw new IsolationUnavailable({
    check: 'kubernetes-network-policies',
    observed: problem,
    fix: 'Apply the network policies of deploy/kubernetes/agents, and remove others from its namespace.',
  });
}

function review({ group, resource, subresource }: Permission, verb: string, namespace: string): object {
  const inNamespace = resource === 'runtimeclasses' ? {} : { namespace };
  const name = resource === 'namespaces' ? { name: namespace } : {};
  const sub = subresource === undefined ? {} : { subresource };
  return {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { group, resource, verb, ...sub, ...inNamespace, ...name } },
  };
}

function resourceOf({ group, resource, subresource }: Permission): string {
  return `${resource}${subresource === undefined ? '' : `/${subresource}`}${group === '' ? '' : `.${group}`}`;
}
