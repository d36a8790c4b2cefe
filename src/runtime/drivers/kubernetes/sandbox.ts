import { IsolationUnavailable } from '../../errors.ts';
import type { CommandResult, Sandbox, SandboxRequest } from '../../isolation.ts';
import { commandOutcome } from '../../outcome.ts';
import { isClusterError } from './client/errors.ts';
import { execQuery } from './client/exec.ts';
import { Job, type Pod } from './client/resources.ts';
import type { Cluster } from './cluster.ts';
import { type CommandEnd, type CommandOptions, execScript, notRun } from './command.ts';
import { type EgressWay, storeWay } from './egress.ts';
import { sandboxJob } from './job.ts';
import { CONTAINER, jobName, LABEL } from './labels.ts';
import { endOfPod, isRunning, type PodEnd, whyWaiting } from './pod-state.ts';
import { remove, removeJob } from './removal.ts';
import { AFTER, type Afterwards, commandScript, readAfterwards } from './scripts.ts';

/** ms for a place on a node and the image. */
const SETUP_MS = 120_000;
/** ms for the end of what a command left; when it cannot be had in that time, the pod is deleted. */
const AFTER_MS = 10_000;
const KILL_MS = 3000;
/** ms until the cluster says why a container ended. */
const SAYS_WHY_MS = 5000;
/** Seconds that the timeout inside is longer than ours. */
const INNER_SLACK = 5;
/** Of SIGKILL. */
const KILLED = 137;
const MAX_AFTER_BYTES = 16_384;

export interface OpenOptions {
  readonly kind: 'sandbox' | 'canary';
  readonly egress?: EgressWay | undefined;
  readonly setupMs?: number;
}

/** Makes the job; its pod is waited for by the first command. Throws IsolationUnavailable. */
export async function openSandbox(cluster: Cluster, request: SandboxRequest, options: OpenOptions): Promise<Sandbox> {
  const { egress, setupMs = SETUP_MS } = options;
  const name = jobName(request.runId);
  const closing = new AbortController();
  /** What makes a pod ours: labels can be written by whoever makes pods in the namespace. */
  let jobUid: string | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  let ended: PodEnd | undefined;
  let oomKills = 0;
  let closed: Promise<void> | undefined;

  await create();

  async function create(): Promise<void> {
    const body = sandboxJob(cluster, { ...request, kind: options.kind, egress: egress !== undefined });
    try {
      await cluster.pods.ready(AbortSignal.timeout(AFTER_MS));
      const { metadata } = await cluster.client.call(Job, { method: 'POST', path: cluster.paths.jobs, body });
      jobUid = metadata.uid;
      if (egress !== undefined) await storeWay(cluster, egress, metadata, request);
    } catch (error) {
      await egress?.close();
      await removeJob(cluster, name).catch(() => undefined);
      const observed = isClusterError(error) ? `${error.code}: ${error.message}` : 'no answer of the API server';
      const fix = 'See the quota and the admission of the namespace, and the rights of the service account.';
      throw new IsolationUnavailable({ check: 'kubernetes-job', observed, fix }, error);
    }
  }

  async function runOne(command: string, given: CommandOptions): Promise<CommandResult> {
    if (ended !== undefined) return notRun('setup_failed', `the sandbox has ended: ${ended.problem}`);
    const seconds = Math.ceil(given.timeoutMs / 1000) + INNER_SLACK;
    const env = { ...request.env, ...egress?.env };
    const script = commandScript({ command, env, pids: request.limits.pids, seconds });
    if (script === undefined) return notRun('setup_failed', 'a command or a variable that cannot be passed on');
    const signal = AbortSignal.any([given.signal, closing.signal]);
    const pod = await runningPod(signal);
    if ('result' in pod) {
      if (pod.result === 'cancelled') return notRun('cancelled');
      ended = { ...pod, result: pod.result };
      return { ...notRun('setup_failed', pod.problem), result: pod.result };
    }
    let done: CommandEnd;
    try {
      done = await execScript(cluster, pod.metadata.name, script, { ...given, signal });
    } catch (error) {
      ended = await endSeen();
      if (ended !== undefined) return { ...notRun('setup_failed', ended.problem), result: ended.result };
      return notRun('setup_failed', isClusterError(error) ? error.message : 'the command could not be started');
    }
    return judge(pod, done);
  }

  /** Its pod once it runs; else how it failed to. */
  async function runningPod(signal: AbortSignal): Promise<Pod | PodEnd | { readonly result: 'cancelled' }> {
    const late = AbortSignal.timeout(setupMs);
    try {
      return await cluster.pods.until(
        () => {
          const pod = currentPod();
          return pod && (isRunning(pod) ? pod : endOfPod(pod));
        },
        AbortSignal.any([signal, late]),
      );
    } catch (error) {
      if (signal.aborted) return { result: 'cancelled' };
      return { result: 'setup_failed', problem: whyNot(error) };
    }
  }

  /** Why it does not run: what the cluster says of it, or that the cluster says nothing. */
  function whyNot(error: unknown): string {
    return isClusterError(error) ? error.message : whyWaiting(currentPod());
  }

  async function judge(pod: Pod, { end, resultOf }: CommandEnd): Promise<CommandResult> {
    const isStopped = end.kind === 'stopped';
    const after = await endRest(pod, isStopped ? KILL_MS : AFTER_MS);
    // Nobody waits for reasons while something may still run.
    const seen = !isStopped && (after === undefined || end.kind === 'lost') ? await endSeen() : undefined;
    if (seen !== undefined) ended = seen;
    if (after === undefined || !after.clean) await abandon('what a command left could not be ended');
    const kills = after?.oomKills ?? oomKills;
    const killed = Math.max(0, kills - oomKills);
    oomKills = kills;
    const exitCode = end.kind === 'exited' ? end.exitCode : null;
    // Killed with its pod: the cluster knows why, the exit code does not.
    if (seen !== undefined && !isStopped && (exitCode === null || exitCode === KILLED)) {
      return resultOf(seen.result, null, seen.problem);
    }
    const result = commandOutcome({
      endedFor: isStopped ? end.why : undefined,
      started: end.kind === 'exited',
      exitCode,
      oomKills: seen?.result === 'oom' ? 1 : killed,
      isDiskFull: after?.diskFull ?? false,
    });
    // Nobody saw how it ended, or the runtime did not begin it: never a failed test.
    return resultOf(result, exitCode, end.kind === 'exited' || isStopped ? undefined : end.message);
  }

  /** Ends what the command left, by a process of ours. Undefined when it could not be made sure. */
  async function endRest(pod: Pod, limitMs: number): Promise<Afterwards | undefined> {
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(late.resolve, limitMs, undefined);
    let said = '';
    try {
      const exec = cluster.client.exec({
        path: `${cluster.paths.pods}/${pod.metadata.name}/exec`,
        query: execQuery(CONTAINER, AFTER),
        stdin: '',
        onOutput: (stream, chunk) => {
          if (stream === 'stdout' && said.length < MAX_AFTER_BYTES) said += chunk.toString('latin1');
        },
      });
      exec.then(({ ended }) => ended).catch(() => undefined);
      const end = await Promise.race([exec.then(({ ended }) => ended), late.promise]);
      if (end === undefined) exec.then(({ leave }) => leave()).catch(() => undefined);
      return end?.kind === 'exited' && end.exitCode === 0 ? readAfterwards(said) : undefined;
    } catch (error) {
      if (!isClusterError(error)) throw error;
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** How the pod ended, when the cluster says so soon. */
  async function endSeen(): Promise<PodEnd | undefined> {
    try {
      return await cluster.pods.until(() => {
        const pod = currentPod();
        return pod === undefined ? { result: 'setup_failed' as const, problem: 'the pod is gone' } : endOfPod(pod);
      }, AbortSignal.timeout(SAYS_WHY_MS));
    } catch {
      // It goes on, or the cluster cannot be watched.
      return undefined;
    }
  }

  /** Nothing runs in it any more, at once; later commands are told why. */
  async function abandon(problem: string): Promise<void> {
    ended ??= { result: 'setup_failed', problem };
    try {
      const pod = currentPod();
      if (pod !== undefined) await remove(cluster, `${cluster.paths.pods}/${pod.metadata.name}`, 0);
    } catch (error) {
      cluster.logger.warn({ err: error, runId: request.runId }, 'the pod of a sandbox could not be deleted');
    }
  }

  function currentPod(): Pod | undefined {
    const isIts = ({ metadata: { labels, ownerReferences = [] } }: Pod) =>
      labels?.[LABEL.run] === request.runId && ownerReferences.some(({ uid }) => uid === jobUid);
    return cluster.pods.items().find(isIts);
  }

  return {
    run: (command, given) => {
      if (given.signal.aborted || closed !== undefined) return Promise.resolve(notRun('cancelled'));
      const mine = turn
        .then(() => (given.signal.aborted ? notRun('cancelled') : runOne(command, given)))
        .catch((error: unknown) => {
          cluster.logger.error({ err: error, runId: request.runId }, 'a command of a sandbox could not be run');
          return notRun('setup_failed', 'the cluster could not be asked');
        });
      turn = mine;
      return mine;
    },
    get egress() {
      return egress?.decisions ?? [];
    },
    close: () => {
      closing.abort();
      closed ??= Promise.all([removeJob(cluster, name), egress?.close()]).then(() => undefined);
      return closed;
    },
  };
}
