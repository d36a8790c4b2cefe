import { setTimeout as wait } from 'node:timers/promises';

import { isClusterError } from './client/errors.ts';
import { Anything, listOf, Pod } from './client/resources.ts';
import type { Cluster } from './cluster.ts';

/** ms until pods that do not go are left to the cluster, which has been told. */
const GONE_MS = 15_000;
const LOOK_MS = 100;

/** Deletes one thing; that it is gone already is as good. */
export async function remove(cluster: Cluster, path: string, graceSeconds?: number): Promise<void> {
  try {
    await cluster.client.call(Anything, {
      method: 'DELETE',
      path,
      body: {
        kind: 'DeleteOptions',
        apiVersion: 'v1',
        propagationPolicy: 'Background',
        ...(graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }),
      },
    });
  } catch (error) {
    if (!isClusterError(error, 'NOT_FOUND')) throw error;
  }
}

/** A job and its pods, at once: with grace 0 nobody asks the processes. Resolves when the API server has none of it. */
export async function removeJob(cluster: Cluster, name: string): Promise<void> {
  await remove(cluster, `${cluster.paths.jobs}/${name}`, 0);
  await removePods(cluster, `job-name=${name}`, 0);
}

/** Resolves when there are none; what has just been made by a controller is found as well. */
export async function removePods(cluster: Cluster, labelSelector: string, graceSeconds: number): Promise<void> {
  const deadline = Date.now() + GONE_MS + graceSeconds * 1000;
  for (const told = new Set<string>(); ; await wait(LOOK_MS)) {
    const pods = await podsOf(cluster, labelSelector);
    if (pods.length === 0) return;
    for (const { metadata } of pods.filter(({ metadata }) => !told.has(metadata.uid))) {
      await remove(cluster, `${cluster.paths.pods}/${metadata.name}`, graceSeconds);
      told.add(metadata.uid);
    }
    if (Date.now() < deadline) continue;
    cluster.logger.warn({ pods: pods.map(({ metadata }) => metadata.name) }, 'pods that were deleted do not go');
    return;
  }
}

export async function podsOf(cluster: Cluster, labelSelector: string): Promise<readonly Pod[]> {
  const query = { labelSelector };
  return (await cluster.client.call(listOf(Pod), { method: 'GET', path: cluster.paths.pods, query })).items;
}
