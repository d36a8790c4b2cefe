import { type Static, Type } from '@sinclair/typebox';

import type { HostPort } from '../../../../config/runtime.ts';
import { CodedError } from '../../../../errors.ts';
import { type IsolationProblem, IsolationUnavailable } from '../../../errors.ts';
import type { IsolationState } from '../../../isolation.ts';
import { type ClusterError, isClusterError } from '../client/errors.ts';
import type { Cluster } from '../cluster.ts';
import { checkCanary } from './canary.ts';
import { checkAccess, checkNamespace, checkNetworkPolicies, checkRuntimeClass } from './checks.ts';

const Version = Type.Object({ gitVersion: Type.String() });

/** Whether the cluster isolates, from the cheapest question to a pod that tries. Never rejects. */
export async function preflight(
  cluster: Cluster,
  listeners: () => Promise<Readonly<Record<string, HostPort>>>,
  signal: AbortSignal,
): Promise<IsolationState> {
  try {
    const { gitVersion }: Static<typeof Version> = await cluster.client.call(Version, {
      method: 'GET',
      path: '/version',
    });
    await checkAccess(cluster);
    await checkNamespace(cluster);
    await checkRuntimeClass(cluster);
    await checkNetworkPolicies(cluster);
    await checkCanary(cluster, await listeners(), signal);
    return { available: true, limits: 'enforced', version: `kubernetes ${gitVersion}` };
  } catch (error) {
    return { available: false, problem: problemOf(error) };
  }
}

function problemOf(error: unknown): IsolationProblem {
  if (error instanceof IsolationUnavailable) return error.problem;
  if (isClusterError(error)) return { check: 'kubernetes-api', observed: error.message, fix: fixOf(error) };
  const observed = error instanceof CodedError ? error.message : 'the credentials of the cluster cannot be read';
  return {
    check: 'kubernetes-credentials',
    observed,
    fix: 'See CASTELLAN_KUBERNETES_KUBECONFIG, or the service account of the pod.',
  };
}

function fixOf({ code }: ClusterError): string {
  if (code === 'UNAUTHORIZED') return 'Give the service credentials that the API server knows.';
  if (code === 'FORBIDDEN') return 'Bind the role of deploy/kubernetes/agents to the service account.';
  return 'See that the service reaches the API server, and that its authority is the one in the credentials.';
}
