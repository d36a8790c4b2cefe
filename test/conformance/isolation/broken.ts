import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type {
  Captured,
  CommandResult,
  Isolation,
  LocalHost,
  OutputSink,
  Replica,
  ReplicaExit,
  Sandbox,
  Stream,
} from '../../../src/runtime/isolation.ts';
import { type Opened, processesOf, type Subject } from './statement.ts';

/**
 * How it is broken. `bare`: runs everything as it is, in the service's own environment, without a wall, a limit or an end,
 * and says truly how it ended. `liar`: gets wrong what it says.
 */
type Flaw = 'bare' | 'liar';

/** ms; nothing of this driver runs longer, whatever a statement asks of it. */
const CAP_MS = 5000;
const MARKER = /mark-[0-9a-f-]{36}/;
const UNKNOWN = { peakMemoryBytes: null, cpuMs: null };

/** Everything that the suite asks for, done wrongly: no test of the suite may pass with both of them. */
export function brokenSubject(flaw: Flaw): Subject {
  const all = {
    localAgents: true,
    limits: true,
    usage: true,
    namespaces: true,
    exactEnvironment: true,
    readOnlyRoot: true,
    confined: true,
  };
  return { name: flaw, open: async () => openBroken(flaw), has: all };
}

function openBroken(flaw: Flaw): Opened {
  const dir = mkdtempSync(join(tmpdir(), 'castellan-broken-'));
  const launcher = new Launcher(flaw, dir);
  const agents: LocalHost = {
    kind: 'local',
    launch: async ({ launchId, command, env, onOutput }) => replica(launcher, launchId, command, env, onOutput),
  };
  const state = async () => ({ available: false, problem: { check: flaw, observed: flaw, fix: flaw } }) as const;
  const isolation: Isolation = {
    name: 'bubblewrap',
    state,
    recheck: state,
    openSandbox: async ({ env }) => sandbox(launcher, env),
    agents,
    close: async () => undefined,
  };
  return { isolation, close: () => launcher.cleanUp() };
}

class Launcher {
  readonly flaw: Flaw;
  readonly #dir: string;
  readonly #markers = new Set<string>();
  /** In the environment of all that it starts, however far that goes. */
  readonly #id = `broken-${randomUUID()}`;

  constructor(flaw: Flaw, dir: string) {
    this.flaw = flaw;
    this.#dir = dir;
  }

  /** One directory for all, every variable of this process, a descriptor too many, and no end but the cap. */
  start(command: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const marker = MARKER.exec(command.join(' '))?.[0];
    if (marker !== undefined) this.#markers.add(marker);
    const trimmed = Object.entries(env).map(([name, value]) => [name, value.trim()]);
    const stdin = this.flaw === 'liar' ? openSync('/proc/version', 'r') : 'ignore';
    const [program = '', ...args] = command;
    return spawn(program, args, {
      cwd: this.#dir,
      argv0: 'castellan-bare',
      env: {
        ...process.env,
        CASTELLAN_BROKEN: this.#id,
        NODE_ENV: 'test',
        HOME: this.#dir,
        TMPDIR: this.#dir,
        ...Object.fromEntries(trimmed),
      },
      stdio: [stdin, 'pipe', 'pipe', 'pipe'],
      timeout: CAP_MS,
      killSignal: 'SIGKILL',
    });
  }

  /** What a driver must do and this one does not: here only so that its own test leaves nothing. */
  async cleanUp(): Promise<void> {
    for (const pid of processesOf(this.#id)) endIfThere(pid);
    for (const marker of this.#markers)
      for (const dir of ['/tmp', '/dev/shm']) rmSync(join(dir, marker), { force: true });
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

function endIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function sandbox(launcher: Launcher, env: Readonly<Record<string, string>>): Sandbox {
  return {
    egress: [],
    close: async () => undefined,
    run: async (command, { onOutput }) => {
      const started = performance.now();
      const mangled = (command.split('\0')[0] ?? '').replaceAll(/ {2,}/g, ' ');
      const given = launcher.flaw === 'liar' ? mangled : command;
      const child = launcher.start(['/bin/sh', '-c', given], env);
      const output = collect(child, launcher.flaw === 'liar' ? undefined : onOutput);
      const { code, signal } = await ended(child);
      return launcher.flaw === 'liar'
        ? lie(code, output.text('stdout') + output.text('stderr'))
        : {
            result: code === 0 ? 'ok' : 'failed',
            exitCode: code,
            signal,
            stdout: output.captured('stdout'),
            stderr: output.captured('stderr'),
            durationMs: performance.now() - started,
            usage: UNKNOWN,
          };
    },
  };
}

function lie(code: number | null, text: string): CommandResult {
  const wrong = (said: string): Captured => ({ text: said, bytes: -1, truncated: true });
  return {
    result: code === 0 ? 'ok' : 'setup_failed',
    exitCode: null,
    signal: null,
    stdout: wrong(text.trim().slice(0, 100)),
    stderr: wrong(''),
    durationMs: 0,
    usage: UNKNOWN,
  };
}

/** Stopped by killing its first process alone, or not at all. */
function replica(
  launcher: Launcher,
  launchId: string,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  onOutput: OutputSink,
): Replica {
  const child = launcher.start(command, env);
  collect(child, launcher.flaw === 'liar' ? undefined : onOutput);
  const lost: ReplicaExit = { cause: 'lost', exitCode: null, signal: null, usage: UNKNOWN };
  let stopped = false;
  const exited = ended(child).then(({ code, signal }): ReplicaExit => {
    if (launcher.flaw === 'liar') return lost;
    return { cause: stopped ? 'stopped' : 'exited', exitCode: code, signal, usage: UNKNOWN };
  });
  return {
    launchId: launchId || randomUUID(),
    egress: [],
    exited,
    stop: async () => {
      if (launcher.flaw === 'liar') return lost;
      stopped = child.kill('SIGKILL');
      return exited;
    },
  };
}

function collect(child: ChildProcess, onOutput: OutputSink | undefined) {
  const kept: Record<Stream, Buffer[]> = { stdout: [], stderr: [] };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.on('data', (chunk: Buffer) => {
      kept[stream].push(chunk);
      onOutput?.(stream, chunk);
    });
  }
  const text = (stream: Stream) => Buffer.concat(kept[stream]).toString();
  const captured = (stream: Stream): Captured => ({
    text: text(stream),
    bytes: Buffer.concat(kept[stream]).length,
    truncated: false,
  });
  return { text, captured };
}

/** Its exit, without waiting for what still holds its output open. */
function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>();
  child.once('error', () => resolve({ code: 127, signal: null }));
  child.once('exit', (code, signal) => setTimeout(() => resolve({ code, signal }), 20));
  return promise;
}
