import type { CommandOutcome } from '../../isolation.ts';
import type { Pod, Terminated } from './client/resources.ts';
import { CONTAINER } from './labels.ts';

export interface PodEnd {
  readonly result: Extract<CommandOutcome, 'oom' | 'disk_limit' | 'timeout' | 'setup_failed'>;
  /** What the cluster says of it, for operators. */
  readonly problem: string;
}

/** Reasons to wait that waiting does not mend. */
const HOPELESS = new Set([
  'ImagePullBackOff',
  'ErrImagePull',
  'InvalidImageName',
  'ErrImageNeverPull',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'CrashLoopBackOff',
]);

/** Whether commands can be run in it. */
export function isRunning(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && stateOf(pod)?.running !== undefined;
}

/** How a pod ended that should have gone on; undefined while it may still become what it should. */
export function endOfPod(pod: Pod): PodEnd | undefined {
  const { reason, message, phase } = pod.status;
  const said = [reason, message].filter((text) => text !== undefined).join(': ');
  if (reason === 'Evicted') return evicted(said);
  if (reason === 'DeadlineExceeded') return { result: 'timeout', problem: said };
  const disruption = pod.status.conditions?.find(
    ({ type, status }) => type === 'DisruptionTarget' && status === 'True',
  );
  if (disruption !== undefined && phase === 'Failed')
    return evicted(`${disruption.reason}: ${disruption.message ?? ''}`);
  const terminated = stateOf(pod)?.terminated;
  if (terminated !== undefined) return endOfContainer(terminated);
  const waiting = stateOf(pod)?.waiting;
  if (waiting?.reason !== undefined && HOPELESS.has(waiting.reason)) {
    return { result: 'setup_failed', problem: `${waiting.reason}: ${waiting.message ?? ''}` };
  }
  if (phase === 'Failed' || phase === 'Succeeded')
    return { result: 'setup_failed', problem: `the pod ended (${said || phase})` };
  if (pod.metadata.deletionTimestamp !== undefined) return { result: 'setup_failed', problem: 'the pod was deleted' };
  return undefined;
}

/** Why it does not run yet, for when it took too long. */
export function whyWaiting(pod: Pod | undefined): string {
  if (pod === undefined) return 'no pod was made: see the events of the job, and the quota of the namespace';
  const unscheduled = pod.status.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
  if (unscheduled !== undefined) return `${unscheduled.reason ?? 'not scheduled'}: ${unscheduled.message ?? ''}`;
  const waiting = stateOf(pod)?.waiting;
  return `${waiting?.reason ?? pod.status.phase ?? 'Pending'}: ${waiting?.message ?? 'it did not start'}`;
}

export function isOomKilled({ reason, exitCode }: Terminated): boolean {
  // A runtime that sees the first process killed, but not why, says Error with 137.
  return reason === 'OOMKilled' || (exitCode === 137 && reason === 'Error');
}

export function stateOf(pod: Pod) {
  return statusOf(pod)?.state;
}

export function statusOf(pod: Pod) {
  return pod.status.containerStatuses?.find(({ name }) => name === CONTAINER);
}

function endOfContainer(terminated: Terminated): PodEnd {
  const problem = `the container ended (${terminated.reason ?? 'no reason'}, exit code ${terminated.exitCode})`;
  if (terminated.reason === 'DeadlineExceeded') return { result: 'timeout', problem };
  return { result: isOomKilled(terminated) ? 'oom' : 'setup_failed', problem };
}

/** Of its own doing only when it wrote too much; a node that runs out of something else evicts whom it likes. */
function evicted(said: string): PodEnd {
  const ofDisk = /ephemeral[- ]storage|emptydir|local storage|disk/i.test(said) && !/node was low/i.test(said);
  return { result: ofDisk ? 'disk_limit' : 'setup_failed', problem: said };
}
