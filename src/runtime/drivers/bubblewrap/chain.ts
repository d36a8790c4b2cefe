import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import type { OutputSink } from '../../isolation.ts';
import { bwrapArguments, encodeArguments, FD } from './arguments.ts';
import type { ChainHost } from './chain-host.ts';
import { insideScript, OUTSIDE, RELAY_READY } from './chain-scripts.ts';
import { drain } from './drain.ts';
import { type HeldBack, holdBack, sandboxEnvironment } from './environment.ts';
import type { Fifo } from './fifos.ts';
import type { Guard } from './guard.ts';
import { createKill } from './kill.ts';
import type { CommandCgroup, Place, Slot } from './place.ts';
import { resourceLimits } from './resource-limits.ts';
import { signalCommand } from './signal-command.ts';
import { readStatus } from './status.ts';

/** Between looks for a process that is about to be there. */
const FORK_MS = 5;

export interface ChainSpec {
  /** Program and arguments, looked up by PATH. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Contents of /run/secrets. */
  readonly secrets?: ReadonlyMap<string, Buffer> | undefined;
  /** Host path of the egress proxy's socket; absent: no network at all. */
  readonly egressSocket?: string | undefined;
  /** Seconds of CPU that one process may use; absent: no bound of its own. */
  readonly cpuSeconds?: number | undefined;
  readonly onOutput: OutputSink;
}

export interface ChainExit {
  /** Whether the command itself ran; without it the exit code is nobody's. */
  readonly started: boolean;
  /** As a shell says it: 128 and the signal's number for what a signal has ended. */
  readonly exitCode: number | null;
}

/** One isolated process tree. */
export interface Chain {
  readonly cgroup: CommandCgroup;
  /** Whether the command runs; false: it never will. */
  readonly started: Promise<boolean>;
  /** Never rejects; no process is left, and all output has been given, when it resolves. */
  readonly exited: Promise<ChainExit>;
  /** To the command's own process; false when it is gone. */
  signal(name: NodeJS.Signals): Promise<boolean>;
  /** Resolves when all is ended. */
  kill(): Promise<void>;
}

/**
 * Starts a command isolated: sh, which joins the cgroups → prlimit → setpriv → bwrap → sh, the first process inside → the
 * command. Throws for what cannot be asked (a NUL), or when the machine has no process or descriptor left.
 */
export async function launchChain(host: ChainHost, place: Place, spec: ChainSpec): Promise<Chain> {
  const { toolchains } = host;
  const hasEgress = spec.egressSocket !== undefined;
  const held = holdBack(sandboxEnvironment({ env: spec.env, toolchains, hasEgress }));
  const args = bwrapInput(host, place, spec, held.env);
  const cgroup = await place.enter();
  const [stdout, stderr] = await host.fifos.takePair();
  const outputs = [
    { fifo: stdout, drained: drain(stdout.readFd, (chunk) => spec.onOutput('stdout', chunk)) },
    { fifo: stderr, drained: drain(stderr.readFd, (chunk) => spec.onOutput('stderr', chunk)) },
  ];
  const finish = async () => {
    await Promise.all(
      outputs.map(async ({ fifo, drained }) => {
        if (await drained.settle()) fifo.giveBack();
        else await fifo.discard();
      }),
    );
  };
  const closeWriters = () => {
    closeSync(stdout.writeFd);
    closeSync(stderr.writeFd);
  };
  let spawned: SpawnedChain;
  try {
    spawned = spawnChain(
      host.tools.sh,
      commandLine(host, place, spec, cgroup, held.carriers),
      stdioOf(spec, stdout, stderr),
    );
  } catch (error) {
    closeWriters();
    await finish();
    throw error;
  }
  const { child, pid } = spawned;
  // All of what follows before the first wait: the process may end at any time.
  const ended = watchedEnd(spawned, host.guard);
  const pipes = pipesOf(child);
  const status = readStatus(pipes(FD.status));
  pipes(FD.args).end(args);
  pipes(FD.seccomp).end(host.seccomp);
  for (const [index, secret] of [...(spec.secrets?.values() ?? [])].entries()) pipes(FD.secrets + index).end(secret);
  if (spec.egressSocket !== undefined) answerRelay(pipes(FD.relay));
  const kill = createKill({ pid, firstProcess: status.firstProcess, ended, cgroup });
  closeWriters();

  let isOver = false;
  const exited = ended.then(async (exitCode): Promise<ChainExit> => {
    isOver = true;
    await finish();
    const started = await status.settle();
    for (const pipe of child.stdio) pipe?.destroy();
    return { started, exitCode: started ? exitCode : null };
  });
  return {
    cgroup,
    started: status.started,
    exited,
    signal: async (name) => {
      const first = await status.firstProcess;
      // What has been started has perhaps not been forked yet.
      while (!isOver) {
        if (await signalCommand(first, spec.egressSocket !== undefined, name)) return true;
        await delay(FORK_MS);
      }
      return false;
    },
    kill: async () => {
      await kill();
      await exited;
    },
  };
}

function bwrapInput(host: ChainHost, place: Place, spec: ChainSpec, env: HeldBack['env']): Buffer {
  const { egressSocket, secrets } = spec;
  const { toolchains, system, etcDir } = host;
  const { workspaceDir, scratch } = place;
  return encodeArguments(
    bwrapArguments({ system, etcDir, toolchains, workspaceDir, scratch, env, egressSocket, secrets }),
  );
}

function commandLine(
  { tools }: ChainHost,
  place: Place,
  spec: ChainSpec,
  cgroup: CommandCgroup,
  carriers: readonly string[],
): string[] {
  const hasEgress = spec.egressSocket !== undefined;
  return [
    ...['-c', OUTSIDE, 'sh', ...cgroup.joinPaths, '--'],
    ...[tools.prlimit, ...resourceLimits(place.limits, spec.cpuSeconds)],
    ...[tools.setpriv, '--no-new-privs', ...identity(place.slot)],
    ...[tools.bwrap, '--args', `${FD.args}`, '--'],
    ...['/bin/sh', '-c', insideScript({ hasEgress, carriers }), 'sh', `${place.limits.pids}`],
    ...(hasEgress ? [tools.socat] : []),
    ...spec.command,
  ];
}

/** Without it bwrap as root is nearly no sandbox: whatever got out would be root. */
function identity(slot: Slot | undefined): string[] {
  if (slot === undefined) return [];
  const { uid, gid } = slot;
  return ['--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', '--bounding-set=-all', '--inh-caps=-all'];
}

/** By number, as in FD. Standard output and error are FIFOs, which can be opened again by their path; the rest bwrap reads. */
function stdioOf(spec: ChainSpec, stdout: Fifo, stderr: Fifo): StdioOptions {
  const secrets = [...(spec.secrets?.keys() ?? [])].map(() => 'pipe' as const);
  return [
    ...(['ignore', stdout.writeFd, stderr.writeFd, 'pipe', 'pipe', 'pipe', 'ignore'] as const),
    spec.egressSocket === undefined ? 'ignore' : 'pipe',
    ...secrets,
  ];
}

interface SpawnedChain {
  readonly child: ChildProcess;
  readonly pid: number;
}

function spawnChain(sh: string, args: readonly string[], stdio: StdioOptions): SpawnedChain {
  // bwrap's own environment can be read inside as long as it lives. A group of its own, which is ended as a whole.
  const child = spawn(sh, args, { env: {}, cwd: '/', detached: true, stdio });
  const { pid } = child;
  if (pid !== undefined) return { child, pid };
  // Told by an event too, which nobody needs then.
  child.once('error', () => undefined);
  throw new Error('the machine starts no process');
}

/** The exit code as a shell says it. Until then the guard knows of the chain. */
function watchedEnd({ child, pid }: SpawnedChain, guard: Guard): Promise<number | null> {
  const { promise, resolve } = Promise.withResolvers<number | null>();
  guard.watch(pid);
  child.once('exit', (code) => {
    guard.forget(pid);
    resolve(code);
  });
  return promise;
}

function pipesOf(child: ChildProcess): (fd: number) => Duplex {
  return (fd) => {
    const pipe = child.stdio[fd];
    if (!(pipe instanceof Socket)) throw new Error(`no pipe at descriptor ${fd}`);
    // What is written to a process that has ended goes nowhere; its end is seen elsewhere.
    pipe.on('error', () => undefined);
    return pipe;
  };
}

/** Hears that the relay accepts connections, and answers it. What else comes is for nobody: the relay is theirs by then. */
function answerRelay(pipe: Duplex): void {
  let heard = '';
  const onData = (chunk: Buffer) => {
    heard = `${heard}${chunk.toString('latin1')}`.slice(-1024);
    if (!heard.includes(RELAY_READY)) return;
    pipe.off('data', onData);
    pipe.resume();
    pipe.write('\n');
  };
  pipe.on('data', onData);
}
