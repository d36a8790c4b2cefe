import type { ClusterAgentState, ReplicaExit } from '../../isolation.ts';
import { signalOf } from '../../outcome.ts';
import type { Deployment, Pod, Terminated } from './client/resources.ts';
import { ADMISSION_GATE, ANNOTATION, LABEL } from './labels.ts';
import { endOfPod, isOomKilled, stateOf, statusOf } from './pod-state.ts';

type LastExit = NonNullable<ClusterAgentState['lastExit']>;

/** What a cluster has of each agent: what its deployment says it is, and what its pods are. */
export function observedAgents(deployments: readonly Deployment[], pods: readonly Pod[]): ClusterAgentState[] {
  const byAgent = Map.groupBy(pods.filter(isAgentPod), ({ metadata }) => metadata.labels?.[LABEL.agent] ?? '');
  return deployments.flatMap(({ metadata: { labels = {}, annotations = {} } }) => {
    const agentId = labels[LABEL.agent];
    const workspaceId = annotations[ANNOTATION.workspace];
    const generation = annotations[ANNOTATION.generation];
    if (labels[LABEL.kind] !== 'agent' || agentId === undefined || workspaceId === undefined) return [];
    if (generation === undefined || !/^\d{1,15}$/.test(generation)) return [];
    const own = byAgent.get(agentId) ?? [];
    const lastExit = own
      .flatMap(exitsOf)
      .toSorted((a, b) => a.at.localeCompare(b.at))
      .at(-1);
    return [
      {
        workspaceId,
        agentId,
        generation: Number(generation),
        readyReplicas: own.filter((pod) => isPresent(pod) && statusOf(pod)?.ready === true).length,
        waiting: own.filter((pod) => isPresent(pod) && isGated(pod)).map(({ metadata }) => metadata.name),
        restarts: own.reduce((sum, pod) => sum + (statusOf(pod)?.restartCount ?? 0), 0),
        ...(lastExit === undefined ? {} : { lastExit }),
      },
    ];
  });
}

function isAgentPod({ metadata }: Pod): boolean {
  return metadata.labels?.[LABEL.kind] === 'agent';
}

function isPresent({ metadata }: Pod): boolean {
  return metadata.deletionTimestamp === undefined;
}

function isGated({ spec }: Pod): boolean {
  return spec.schedulingGates?.some(({ name }) => name === ADMISSION_GATE) ?? false;
}

function exitsOf(pod: Pod): LastExit[] {
  const states = [statusOf(pod)?.lastState?.terminated, stateOf(pod)?.terminated].filter(
    (state) => state !== undefined,
  );
  if (states.length > 0) return states.map((state) => exitOf(pod, state));
  const end = endOfPod(pod);
  if (end === undefined || !isPresent(pod)) return [];
  const cause = end.result === 'timeout' ? 'lost' : end.result;
  return [{ ...NOTHING, cause, problem: end.problem, at: pod.metadata.creationTimestamp ?? '' }];
}

const NOTHING: Omit<ReplicaExit, 'cause'> = {
  exitCode: null,
  signal: null,
  usage: { peakMemoryBytes: null, cpuMs: null },
};

function exitOf(pod: Pod, terminated: Terminated): LastExit {
  const at = terminated.finishedAt ?? pod.metadata.creationTimestamp ?? '';
  const evicted = pod.status.reason === 'Evicted' ? endOfPod(pod) : undefined;
  if (evicted?.result === 'disk_limit') return { ...NOTHING, cause: 'disk_limit', problem: evicted.problem, at };
  if (isOomKilled(terminated)) return { ...NOTHING, cause: 'oom', at };
  const { exitCode } = terminated;
  return { ...NOTHING, cause: 'exited', exitCode, signal: signalOf(exitCode), at };
}
