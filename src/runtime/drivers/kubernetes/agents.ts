import { IsolationUnavailable } from '../../errors.ts';
import type { ClusterAgent, ClusterHost } from '../../isolation.ts';
import { isClusterError } from './client/errors.ts';
import { Anything, Deployment, Pod, Secret } from './client/resources.ts';
import type { Cluster } from './cluster.ts';
import { agentDeployment, agentSecret, hasSecret, secretFiles } from './deployment.ts';
import type { EgressWays } from './egress.ts';
import { ADMISSION_GATE, ANNOTATION, agentName, LABEL } from './labels.ts';
import { followLogs, tailLogs } from './logs.ts';
import { observedAgents } from './observed.ts';
import { podsOf, remove } from './removal.ts';

/** Times that somebody else may change the same deployment while we do. */
const ATTEMPTS = 6;
const SYNC_MS = 15_000;

/** Agents as deployments. They live on without the service, which finds them again by their labels. */
export function createAgents(cluster: Cluster, ways: EgressWays): ClusterHost {
  const { client, paths } = cluster;
  const deploymentPath = (agentId: string) => `${paths.deployments}/${agentName(agentId)}`;
  const secretPath = (agentId: string) => `${paths.secrets}/${agentName(agentId)}`;

  async function synced(): Promise<void> {
    const signal = AbortSignal.timeout(SYNC_MS);
    await Promise.all([cluster.pods.ready(signal), cluster.deployments.ready(signal)]);
  }

  /** False: somebody else was faster, and it has to be looked at again. */
  async function applyOnce(agent: ClusterAgent): Promise<boolean> {
    const current = await found(client.call(Deployment, { method: 'GET', path: deploymentPath(agent.agentId) }));
    if (current?.metadata.deletionTimestamp !== undefined) return false;
    if (current !== undefined && generationOf(current) > agent.generation) return true;
    try {
      if (current === undefined) {
        // First, for the Secret belongs to it; its pods wait at their gate.
        const body = agentDeployment(cluster, agent, undefined);
        const made = await client.call(Deployment, { method: 'POST', path: paths.deployments, body });
        await putSecret(agent, made.metadata.uid);
      } else {
        await putSecret(agent, current.metadata.uid);
        const body = agentDeployment(cluster, agent, current.metadata.resourceVersion);
        await client.call(Deployment, { method: 'PUT', path: deploymentPath(agent.agentId), body });
      }
      return true;
    } catch (error) {
      // Not there any more is as much of a conflict as there already.
      if (isClusterError(error, 'CONFLICT', 'NOT_FOUND')) return false;
      throw error;
    }
  }

  async function putSecret(agent: ClusterAgent, owner: string): Promise<void> {
    const path = secretPath(agent.agentId);
    if (!hasSecret(agent)) return remove(cluster, path);
    const current = await found(client.call(Secret, { method: 'GET', path }));
    const way = agent.allowDomains.length === 0 ? {} : await ways.prepare(agent.allowDomains, current?.data);
    const body = agentSecret(agent, { ...secretFiles(agent), ...way }, owner);
    if (current === undefined) await client.call(Anything, { method: 'POST', path: paths.secrets, body });
    else await client.call(Anything, { method: 'PUT', path, body });
  }

  return {
    kind: 'cluster',
    apply: async (agent) => {
      // Asked first, so that nothing is made for an agent that cannot be.
      if (agent.allowDomains.length > 0) await ways.prepare(agent.allowDomains, undefined);
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) if (await applyOnce(agent)) return;
      throw new IsolationUnavailable({
        check: 'kubernetes-deployment',
        observed: `${agentName(agent.agentId)} is changed by somebody else again and again`,
        fix: 'Let nothing but Castellan change deployments in its namespace.',
      });
    },
    observe: async () => {
      await synced();
      return observedAgents(cluster.deployments.items(), cluster.pods.items());
    },
    admit: async (name) => {
      const path = `${paths.pods}/${name}`;
      const body = [
        { op: 'test', path: '/spec/schedulingGates/0/name', value: ADMISSION_GATE },
        { op: 'remove', path: '/spec/schedulingGates/0' },
      ];
      try {
        await client.call(Pod, { method: 'PATCH', path, body, contentType: 'application/json-patch+json' });
      } catch (error) {
        if (!isClusterError(error, 'INVALID') || hasGate(cluster.pods.get(name))) throw error;
      }
    },
    remove: async (_workspaceId, agentId, graceMs) => {
      const seconds = Math.ceil(graceMs / 1000);
      await remove(cluster, deploymentPath(agentId));
      // What its replica set makes meanwhile waits at the gate, and goes with it.
      for (const { metadata } of await podsOf(cluster, `${LABEL.kind}=agent,${LABEL.agent}=${agentId}`)) {
        await remove(cluster, `${paths.pods}/${metadata.name}`, seconds);
      }
      await remove(cluster, secretPath(agentId));
    },
    logs: async (_workspaceId, agentId, options, onOutput) => {
      await synced();
      await (options.follow ? followLogs : tailLogs)(cluster, agentId, options, onOutput);
    },
  };
}

async function found<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isClusterError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

function generationOf({ metadata }: Deployment): number {
  return Number(metadata.annotations?.[ANNOTATION.generation] ?? 0);
}

function hasGate(pod: Pod | undefined): boolean {
  return pod?.spec.schedulingGates?.some(({ name }) => name === ADMISSION_GATE) ?? true;
}
