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

/** The last bytes of each of its pods, oldest pod first. */
export async function tailLogs(cluster: Cluster, agentId: string, options: Options, onOutput: Sink): Promise<void> {
  for (const pod of started(cluster, agentId)) await passTail(cluster, pod, options, onOutput);
}

/** The same, and what they and later ones write until the signal. */
export async function followLogs(cluster: Cluster, agentId: string, options: Options, onOutput: Sink): Promise<void> {
  const following = new Map<string, Promise<void>>();
  while (!options.signal.aborted) {
    for (const pod of started(cluster, agentId)) {
      const { uid } = pod.metadata;
      const life = `${uid} ${statusOf(pod)?.restartCount}`;
      if (following.has(life)) continue;
      following.set(life, passOn(cluster, pod, options, onOutput).catch(unlessOver(options.signal)));
    }
    await cluster.pods.changed(options.signal).catch(unlessOver(options.signal));
  }
  await Promise.all(following.values());
}

async function passTail(cluster: Cluster, pod: Pod, { tailBytes, signal }: Options, onOutput: Sink): Promise<void> {
  let kept: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of await open(cluster, pod, { tailBytes, signal, follow: false })) {
      kept = Buffer.concat([kept, chunk]).subarray(-tailBytes);
    }
  } catch (error) {
    // Gone since.
    if (!isClusterError(error, 'NOT_FOUND', 'INVALID')) throw error;
  }
  if (kept.length > 0) onOutput(pod.metadata.name, kept);
}

async function passOn(cluster: Cluster, pod: Pod, options: Options, onOutput: Sink): Promise<void> {
  for await (const chunk of await open(cluster, pod, options)) onOutput(pod.metadata.name, chunk);
}

function open({ client, paths }: Cluster, { metadata }: Pod, { tailBytes, signal, follow }: Options) {
  const tailLines = Math.min(MAX_LINES, Math.ceil(tailBytes / BYTES_A_LINE));
  const query = { container: CONTAINER, follow, tailLines };
  return client.stream({ method: 'GET', path: `${paths.pods}/${metadata.name}/log`, query, signal });
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
