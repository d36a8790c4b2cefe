import { AGENT_LIMITS } from '../../../egress/session.ts';
import { createCapture } from '../../capture.ts';
import { IsolationUnavailable, RuntimeUnsupported } from '../../errors.ts';
import type { Replica, ReplicaExit, ReplicaRequest } from '../../isolation.ts';
import { signalOf } from '../../outcome.ts';
import { type Chain, type ChainExit, launchChain } from './chain.ts';
import { type EgressLink, openEgressLink } from './egress-link.ts';
import { createOutputRate } from './output-rate.ts';
import type { Place } from './place.ts';
import { setupProblem } from './problem.ts';
import type { IsolationParts } from './sandbox.ts';

/** Of what the chain says when the command cannot be started. */
const PROBLEM_BYTES = 4096;
/** ms within which the command has to run: what waits longer waits for something that does not come. */
const LAUNCH_MS = 30_000;
const LOST = {
  cause: 'lost',
  exitCode: null,
  signal: null,
  usage: { peakMemoryBytes: null, cpuMs: null },
} as const satisfies ReplicaExit;

/** Resolves once the command runs. Throws IsolationUnavailable, with nothing left, or RuntimeUnsupported. */
export async function launchReplica(parts: IsolationParts, request: ReplicaRequest): Promise<Replica> {
  if (request.command.length === 0) throw new RuntimeUnsupported('an agent on this machine needs a command');
  const { host, places, egressRules: rules } = parts;
  const place = await places.open(request.limits);
  let egress: EgressLink | undefined;
  try {
    egress = await openEgressLink(place, { allowDomains: request.allowDomains, rules, limits: AGENT_LIMITS });
    const ending = createEnding();
    const first = createCapture(PROBLEM_BYTES);
    const withinRate = createOutputRate();
    const chain = await launchChain(host, place, {
      command: request.command,
      env: request.env,
      secrets: request.secrets,
      egressSocket: egress.socket,
      onOutput: (stream, chunk) => {
        if (first.bytes < PROBLEM_BYTES) first.push(chunk);
        if (withinRate(chunk.length)) request.onOutput(stream, chunk);
        else ending.end('output_limit');
      },
    });
    ending.of(chain);
    const late = setTimeout(() => void chain.kill(), LAUNCH_MS);
    const isStarted = await chain.started;
    clearTimeout(late);
    if (!isStarted) {
      await chain.exited;
      throw notStarted(first.captured().text);
    }
    return replicaOf({ launchId: request.launchId, chain, ending, egress, place });
  } catch (error) {
    await egress?.close();
    await place.release();
    throw error;
  }
}

function replicaOf(parts: {
  launchId: string;
  chain: Chain;
  ending: Ending;
  egress: EgressLink;
  place: Place;
}): Replica {
  const { launchId, chain, ending, egress, place } = parts;
  const timers = new Set<NodeJS.Timeout>();
  let told = false;
  const exited = chain.exited.then(async (exit) => {
    ending.over();
    for (const timer of timers) clearTimeout(timer);
    const end = await exitOf(chain, exit, ending, place).catch(
      (error: unknown): ReplicaExit => ({ ...LOST, problem: setupProblem(String(error)) }),
    );
    const problem = await leave(egress, place);
    return problem === undefined ? end : { ...end, problem };
  });
  return {
    launchId,
    exited,
    stop: (graceMs) => {
      ending.stop();
      if (graceMs <= 0) {
        ending.end('stopped');
        return exited;
      }
      timers.add(setTimeout(() => ending.end('stopped'), graceMs));
      if (!told) {
        told = true;
        // What cannot be told to end is ended.
        void chain.signal('SIGTERM').catch(() => ending.end('stopped'));
      }
      return exited;
    },
    get egress() {
      return egress.decisions;
    },
  };
}

interface Ending {
  of(chain: Chain): void;
  /** Kills it; the first reason counts. */
  end(why: 'stopped' | 'output_limit'): void;
  /** It was asked to end by itself. */
  stop(): void;
  over(): void;
  readonly killed: boolean;
  readonly reason: 'stopped' | 'output_limit' | undefined;
}

function createEnding(): Ending {
  let chain: Chain | undefined;
  let reason: Ending['reason'];
  let killed = false;
  let isOver = false;
  return {
    of(launched) {
      chain = launched;
      if (killed) void launched.kill();
    },
    end(why) {
      if (isOver) return;
      reason ??= why;
      killed = true;
      void chain?.kill();
    },
    stop() {
      if (!isOver) reason ??= 'stopped';
    },
    over() {
      isOver = true;
    },
    get killed() {
      return killed;
    },
    get reason() {
      return reason;
    },
  };
}

async function exitOf(chain: Chain, exit: ChainExit, ending: Ending, place: Place): Promise<ReplicaExit> {
  const [usage, oomKills, isDiskFull] = await Promise.all([
    chain.cgroup.usage(),
    chain.cgroup.oomKills(),
    place.isDiskFull(),
  ]);
  if (ending.killed) return { cause: ending.reason ?? 'stopped', exitCode: null, signal: 'SIGKILL', usage };
  const { exitCode } = exit;
  const signal = signalOf(exitCode);
  const ended = { exitCode, signal, usage };
  if (ending.reason !== undefined) return { ...ended, cause: ending.reason };
  if (exitCode === 0) return { ...ended, cause: 'exited' };
  // It may have lived on without a child that was killed for memory, and have ended well since.
  if (oomKills > 0) return { ...ended, cause: 'oom' };
  if (exitCode === null) return { ...ended, cause: 'lost' };
  return { ...ended, cause: isDiskFull || signal === 'SIGXFSZ' ? 'disk_limit' : 'exited' };
}

/** Gives everything back; what cannot be is told, for nobody waits for an exit that fails. */
async function leave(egress: EgressLink, place: Place): Promise<string | undefined> {
  try {
    await egress.close();
    await place.release();
    return undefined;
  } catch (error) {
    return `it left something behind: ${setupProblem(String(error))}`;
  }
}

function notStarted(said: string): IsolationUnavailable {
  return new IsolationUnavailable({
    check: 'launch',
    observed: setupProblem(said),
    fix: 'Look at the check `isolation` of /readyz, which is made again, and at the log of the service',
  });
}
