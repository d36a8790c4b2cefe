import { setTimeout as wait } from 'node:timers/promises';

import type { ClusterHost } from '../../isolation.ts';
import { isClusterError } from './client/errors.ts';
import type { Pod } from './client/resources.ts';
import type { Cluster } from './cluster.ts';
import { CONTAINER, LABEL } from './labels.ts';
import { statusOf } from './pod-state.ts';

type Options = Parameters<ClusterHost['logs']>[2];
type Sink = Parameters<ClusterHost['logs']>[3];

/** The API counts from the end in lines only; of as many short ones as these the last bytes are passed on. */
const BYTES_A_LINE = 16;
const MAX_LINES = 100_000;
/** ms before a log that broke off is followed again. */
const AGAIN_MS = 500;

/** The last bytes of each of its pods, oldest pod first. */
export async function tailLogs(cluster: Cluster, agentId: string, options: Options, onOutput: Sink): Promise<void> {
  for (const pod of started(cluster, agentId)) await passTail(cluster, pod, options, onOutput);
}

/** The same, and what they and later ones write until the signal, however often the connection breaks. */
export async function followLogs(cluster: Cluster, agentId: string, options: Options, onOutput: Sink): Promise<void> {
  const following = new Map<string, Promise<void>>();
  while (!options.signal.aborted) {
    for (const pod of seen(cluster, agentId)) {
      const life = lifeOf(pod);
      if (following.has(life)) continue;
      const ended = follow(cluster, pod, options, onOutput);
      // Said to the caller at the end; until then nobody waits for it.
      ended.catch(() => undefined);
      following.set(life, ended);
    }
    await cluster.pods.changed(options.signal).catch(unlessOver(options.signal));
  }
  await Promise.all(following.values());
}

/** None while the cluster cannot be watched: what is followed goes on. */
function seen(cluster: Cluster, agentId: string): readonly Pod[] {
  try {
    return started(cluster, agentId);
  } catch (error) {
    if (!isClusterError(error)) throw error;
    return [];
  }
}

async function passTail(cluster: Cluster, pod: Pod, { tailBytes, signal }: Options, onOutput: Sink): Promise<void> {
  let kept: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of await open(cluster, pod, tailOf({ tailBytes }), { follow: false, signal })) {
      kept = Buffer.concat([kept, chunk]).subarray(-tailBytes);
    }
  } catch (error) {
    // Gone since.
    if (!isClusterError(error, 'NOT_FOUND', 'INVALID')) throw error;
  }
  if (kept.length > 0) onOutput(pod.metadata.name, kept);
}

/** One life of a container. A connection may break, or the API server end it, while the container goes on. */
async function follow(cluster: Cluster, pod: Pod, options: Options, onOutput: Sink): Promise<void> {
  const { signal } = options;
  for (let from: From = tailOf(options); ; ) {
    let heardAt = performance.now();
    try {
      for await (const chunk of await open(cluster, pod, from, { follow: true, signal })) {
        heardAt = performance.now();
        onOutput(pod.metadata.name, chunk);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isClusterError(error)) throw error;
    }
    await wait(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted || !isSameLife(pod, cluster.pods.get(pod.metadata.name))) return;
    // Counted back by the node's own clock. Of what was heard last, up to a second may come twice.
    from = { sinceSeconds: Math.ceil((performance.now() - heardAt) / 1000) };
  }
}

type From = { readonly tailLines: number } | { readonly sinceSeconds: number };

function tailOf({ tailBytes }: Pick<Options, 'tailBytes'>): From {
  return { tailLines: Math.min(MAX_LINES, Math.ceil(tailBytes / BYTES_A_LINE)) };
}

function open(
  { client, paths }: Cluster,
  { metadata }: Pod,
  from: From,
  { follow, signal }: Pick<Options, 'follow' | 'signal'>,
) {
  const query = { container: CONTAINER, follow, ...from };
  return client.stream({ method: 'GET', path: `${paths.pods}/${metadata.name}/log`, query, signal });
}

function isSameLife(pod: Pod, now: Pod | undefined): boolean {
  return now !== undefined && lifeOf(now) === lifeOf(pod) && statusOf(now)?.state?.running !== undefined;
}

function lifeOf(pod: Pod): string {
  return `${pod.metadata.uid} ${statusOf(pod)?.restartCount}`;
}

function started(cluster: Cluster, agentId: string): Pod[] {
  const isIts = ({ metadata }: Pod) =>
    metadata.labels?.[LABEL.kind] === 'agent' && metadata.labels[LABEL.agent] === agentId;
  const began = (pod: Pod) => {
    const state = statusOf(pod)?.state;
    return state?.running !== undefined || state?.terminated !== undefined;
  };
  const age = ({ metadata }: Pod) => metadata.creationTimestamp ?? '';
  return cluster.pods
    .items()
    .filter((pod) => isIts(pod) && began(pod))
    .toSorted((a, b) => age(a).localeCompare(age(b)));
}

/** A pod that went, or a follower who left: what it wrote so far was passed on. */
function unlessOver(signal: AbortSignal) {
  return (error: unknown) => {
    if (signal.aborted || isClusterError(error)) return;
    throw error;
  };
}
