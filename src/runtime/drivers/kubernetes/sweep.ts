import { Job, listOf } from './client/resources.ts';
import type { Cluster } from './cluster.ts';
import { LABEL, MANAGED } from './labels.ts';
import { removeJob } from './removal.ts';

/**
 * Removes the sandboxes that an earlier process of this service left. What a service left that does not come back is ended by
 * the cluster: each job has a deadline, and a time after which it is removed. Agents stay, to be adopted.
 */
export async function sweepJobs(cluster: Cluster): Promise<number> {
  const { client, paths, service } = cluster;
  const labelSelector = `${MANAGED},${LABEL.service}=${service.name},${LABEL.boot}!=${service.boot}`;
  const { items } = await client.call(listOf(Job), { method: 'GET', path: paths.jobs, query: { labelSelector } });
  await Promise.all(items.map(({ metadata }) => removeJob(cluster, metadata.name)));
  return items.length;
}
