import { type Capture, createCapture } from '../../capture.ts';
import type { CommandResult, OutputSink } from '../../isolation.ts';
import { type CommandFacts, commandOutcome, signalOf } from '../../outcome.ts';
import { type Chain, type ChainExit, launchChain } from './chain.ts';
import type { ChainHost } from './chain-host.ts';
import type { Place } from './place.ts';
import { setupProblem } from './problem.ts';

/** Of both streams together; what writes more is ended. */
export const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** Processor time beyond what the timeout lets it have: that of a command whose service can end nothing any more. */
const CPU_SLACK_SECONDS = 5;

const NO_USAGE = { peakMemoryBytes: null, cpuMs: null };

export interface CommandSpec {
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly egressSocket?: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onOutput?: OutputSink | undefined;
}

/** Runs one command in a place to its end, whichever that is. Never rejects for what the command does. */
export async function runCommand(host: ChainHost, place: Place, spec: CommandSpec): Promise<CommandResult> {
  const begun = performance.now();
  const output = { stdout: createCapture(), stderr: createCapture() };
  const ending = createEnding();
  const durationMs = () => Math.round(performance.now() - begun);
  if (spec.signal.aborted) return notRun('cancelled', durationMs());

  const timer = setTimeout(() => ending.end('timeout'), spec.timeoutMs);
  const cancel = () => ending.end('cancelled');
  spec.signal.addEventListener('abort', cancel, { once: true });
  try {
    const chain = await launchChain(host, place, {
      command: spec.command,
      env: spec.env,
      egressSocket: spec.egressSocket,
      cpuSeconds: (spec.timeoutMs / 1000) * Math.ceil(place.limits.cpu) + CPU_SLACK_SECONDS,
      onOutput: (stream, chunk) => {
        // What comes between the limit and the end is as good as not written.
        if (ending.reason() === 'output_limit') return;
        output[stream].push(chunk);
        if (output.stdout.bytes + output.stderr.bytes > MAX_OUTPUT_BYTES) ending.end('output_limit');
        else spec.onOutput?.(stream, chunk);
      },
    });
    ending.of(chain);
    const exit = await chain.exited;
    return await resultOf({ chain, exit, place, output, endedFor: ending.reason(), durationMs: durationMs() });
  } catch (error) {
    return { ...notRun('setup_failed', durationMs()), problem: setupProblem(String(error)) };
  } finally {
    clearTimeout(timer);
    spec.signal.removeEventListener('abort', cancel);
  }
}

/** Ends a chain once, for the first reason there is, also when that comes before the chain. */
function createEnding() {
  let reason: CommandFacts['endedFor'];
  let chain: Chain | undefined;
  let isOver = false;
  return {
    reason: () => reason,
    end(why: NonNullable<CommandFacts['endedFor']>) {
      if (isOver || reason !== undefined) return;
      reason = why;
      void chain?.kill();
    },
    of(launched: Chain) {
      chain = launched;
      void launched.exited.then(() => {
        isOver = true;
      });
      if (reason !== undefined) void launched.kill();
    },
  };
}

async function resultOf(parts: {
  chain: Chain;
  exit: ChainExit;
  place: Place;
  output: { stdout: Capture; stderr: Capture };
  endedFor: CommandFacts['endedFor'];
  durationMs: number;
}): Promise<CommandResult> {
  const { chain, exit, place, output, endedFor, durationMs } = parts;
  const [usage, oomKills, isDiskFull] = await Promise.all([
    chain.cgroup.usage(),
    chain.cgroup.oomKills(),
    exit.exitCode === 0 ? false : place.isDiskFull(),
  ]);
  const result = commandOutcome({ ...exit, endedFor, oomKills, isDiskFull });
  const [stdout, stderr] = [output.stdout.captured(), output.stderr.captured()];
  // What is there then was said by a tool of the chain.
  if (result === 'setup_failed') return { ...notRun(result, durationMs), usage, problem: setupProblem(stderr.text) };
  const exitCode = endedFor === undefined ? exit.exitCode : null;
  return { result, exitCode, signal: signalOf(exitCode), stdout, stderr, durationMs, usage };
}

function notRun(result: 'cancelled' | 'setup_failed', durationMs: number): CommandResult {
  const nothing = { text: '', bytes: 0, truncated: false };
  return { result, exitCode: null, signal: null, stdout: nothing, stderr: nothing, durationMs, usage: NO_USAGE };
}
