import { createCapture } from '../../capture.ts';
import type { CommandOutcome, CommandResult, OutputSink } from '../../isolation.ts';
import { signalOf } from '../../outcome.ts';
import { type ExecEnd, execQuery } from './client/exec.ts';
import type { Cluster } from './cluster.ts';
import { CONTAINER } from './labels.ts';
import { SHELL } from './scripts.ts';

/** Bytes of both streams together after which a command is ended. */
const MAX_OUTPUT = 67_108_864;

/** Why a command that runs is ended from outside. */
export type Stop = Extract<CommandOutcome, 'timeout' | 'cancelled' | 'output_limit'>;

export interface CommandEnd {
  readonly end: ExecEnd | { readonly kind: 'stopped'; readonly why: Stop };
  /** The result with all but its judgement. */
  resultOf(result: CommandOutcome, exitCode: number | null, problem?: string): CommandResult;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onOutput?: OutputSink | undefined;
}

/**
 * Runs a script in a pod until it ends or is to be stopped, which is then still to be done: that we hear nothing more of it does
 * not end it. Rejects with ClusterError when it was not started.
 */
export async function execScript(
  { client, paths }: Cluster,
  pod: string,
  script: string,
  { timeoutMs, signal, onOutput }: CommandOptions,
): Promise<CommandEnd> {
  const captures = { stdout: createCapture(), stderr: createCapture() };
  const stopped = Promise.withResolvers<{ kind: 'stopped'; why: Stop }>();
  let over = false;
  const stop = (why: Stop) => {
    over = true;
    stopped.resolve({ kind: 'stopped', why });
  };
  const onAbort = () => stop('cancelled');
  const begun = performance.now();
  const exec = await client.exec({
    path: `${paths.pods}/${pod}/exec`,
    query: execQuery(CONTAINER, SHELL),
    stdin: script,
    onOutput: (stream, chunk) => {
      if (over) return;
      captures[stream].push(chunk);
      onOutput?.(stream, chunk);
      if (captures.stdout.bytes + captures.stderr.bytes > MAX_OUTPUT) stop('output_limit');
    },
  });
  const timer = setTimeout(stop, timeoutMs, 'timeout');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const end = await Promise.race([exec.ended, stopped.promise]);
  over = true;
  clearTimeout(timer);
  signal.removeEventListener('abort', onAbort);
  exec.leave();
  const durationMs = performance.now() - begun;
  return {
    end,
    resultOf: (result, exitCode, problem) => ({
      result,
      exitCode,
      signal: signalOf(exitCode),
      stdout: captures.stdout.captured(),
      stderr: captures.stderr.captured(),
      durationMs,
      usage: { peakMemoryBytes: null, cpuMs: null },
      ...(problem === undefined ? {} : { problem }),
    }),
  };
}

/** The result of a command that never ran. */
export function notRun(result: 'cancelled' | 'setup_failed', problem?: string): CommandResult {
  const none = { text: '', bytes: 0, truncated: false };
  return {
    result,
    exitCode: null,
    signal: null,
    stdout: none,
    stderr: none,
    durationMs: 0,
    usage: { peakMemoryBytes: null, cpuMs: null },
    ...(problem === undefined ? {} : { problem }),
  };
}
