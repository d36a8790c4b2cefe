import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

import type {
  CommandResult,
  Isolation,
  Limits,
  OutputSink,
  Replica,
  ReplicaRequest,
  Sandbox,
  SandboxRequest,
  Stream,
} from '../../../src/runtime/isolation.ts';
import { until } from '../../support/process.ts';

const MIB = 1024 * 1024;
/** ms; for commands that end by themselves. */
export const AMPLE_MS = 30_000;

export const LIMITS: Limits = { cpu: 1, memoryBytes: 128 * MIB, pids: 64, diskBytes: 32 * MIB };

/** What a driver shows where it is tried. A statement that needs one which is not there is skipped, visibly. */
export interface Capabilities {
  /** Agents are processes of this machine (`agents.kind` is `local`). */
  readonly localAgents: boolean;
  /** Limits are enforced: not degraded, and not left to a kubelet that is none. */
  readonly limits: boolean;
  /** Results say what was used. */
  readonly usage: boolean;
  /** Processes have namespaces of their own, and a network with nothing but `lo`. */
  readonly namespaces: boolean;
  /** The environment holds nothing besides what the interface names; a cluster adds the name of the pod. */
  readonly exactEnvironment: boolean;
  /** The file system outside the working directory, /tmp and /run is read-only. */
  readonly readOnlyRoot: boolean;
  /** seccomp and no-new-privileges are on, and every capability is gone. */
  readonly confined: boolean;
}

export interface Opened {
  readonly isolation: Isolation;
  close(): Promise<void>;
}

/** A driver to try. */
export interface Subject {
  readonly name: string;
  readonly open: () => Promise<Opened>;
  readonly has: Capabilities;
  /** Looks at what is there now; the function it returns rejects with what has come since and does not go. */
  readonly watch?: () => () => Promise<void>;
}

/** One thing that every driver holds to. Throws an AssertionError when this one does not. */
export interface Statement {
  readonly says: string;
  readonly needs?: readonly (keyof Capabilities)[];
  readonly check: (world: World) => Promise<void>;
}

/** What a statement works with; all of it is closed when the statement ends. */
export interface World {
  readonly isolation: Isolation;
  /** One of the statement's own, which it may close. */
  fresh(): Promise<Isolation>;
  open(changes?: Partial<SandboxRequest>, isolation?: Isolation): Promise<Sandbox>;
  /** One command in a sandbox of its own. */
  once(command: string, changes?: Partial<SandboxRequest & RunOptions>): Promise<CommandResult>;
  launch(
    command: readonly string[] | string,
    changes?: Partial<ReplicaRequest>,
    isolation?: Isolation,
  ): Promise<Launched>;
  /** Text for command lines that no other process has. */
  readonly marker: string;
  readonly watch: Subject['watch'];
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onOutput: OutputSink;
}

export interface Launched {
  readonly replica: Replica;
  /** What it has written so far. */
  output(stream?: Stream): string;
}

/** Tries one statement. */
export async function tryStatement(statement: Statement, subject: Subject, isolation: Isolation): Promise<void> {
  const closing: (() => Promise<unknown>)[] = [];
  try {
    await statement.check(worldOf(subject, isolation, closing));
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

/** One command of an open sandbox. */
export function run(sandbox: Sandbox, command: string, options: Partial<RunOptions> = {}): Promise<CommandResult> {
  return sandbox.run(command, { timeoutMs: AMPLE_MS, signal: new AbortController().signal, ...options });
}

/** The command went well; its output without the last newline. */
export function said(done: CommandResult): string {
  assert.equal(done.result, 'ok', JSON.stringify(done));
  return done.stdout.text.replace(/\n$/, '');
}

/** Processes of this machine with that text in their command line. */
export function processesWith(marker: string): number[] {
  return processes().filter((pid) => ofProcess(pid, 'cmdline').includes(marker));
}

/** Processes of this machine with that text in their environment. */
export function processesOf(id: string): number[] {
  return processes().filter((pid) => ofProcess(pid, 'environ').includes(id));
}

/** Throws an AssertionError for processes that do not end. */
export async function goneWithin(marker: string, limitMs: number): Promise<void> {
  await until('gone', () => processesWith(marker).length === 0, limitMs).catch(() => undefined);
  assert.deepEqual(processesWith(marker), [], 'processes are left');
}

/** A mark that a process writes and a test waits for. */
export async function seen(what: string, condition: () => boolean, limitMs = 10_000): Promise<void> {
  await until(what, condition, limitMs).catch((error: unknown) => assert.fail(String(error)));
}

function worldOf(subject: Subject, isolation: Isolation, closing: (() => Promise<unknown>)[]): World {
  const open: World['open'] = async (changes = {}, on = isolation) => {
    const sandbox = await on.openSandbox(sandboxRequest(changes));
    closing.push(() => sandbox.close());
    return sandbox;
  };
  return {
    isolation,
    open,
    marker: `mark-${randomUUID()}`,
    watch: subject.watch,
    fresh: async () => {
      const opened = await subject.open();
      closing.push(() => opened.close());
      return opened.isolation;
    },
    once: async (command, { timeoutMs, signal, onOutput, ...changes } = {}) =>
      run(await open(changes), command, {
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(signal === undefined ? {} : { signal }),
        ...(onOutput === undefined ? {} : { onOutput }),
      }),
    launch: async (command, changes = {}, on = isolation) => {
      const host = on.agents;
      if (host.kind !== 'local') throw new Error('agents are not processes of this machine');
      const output: Record<Stream, string> = { stdout: '', stderr: '' };
      const replica = await host.launch({
        workspaceId: 'conformance',
        agentId: randomUUID(),
        launchId: randomUUID(),
        command: typeof command === 'string' ? ['/bin/sh', '-c', command] : command,
        env: {},
        secrets: new Map(),
        limits: LIMITS,
        allowDomains: [],
        onOutput: (stream, chunk) => {
          output[stream] += chunk.toString('latin1');
        },
        ...changes,
      });
      closing.push(() => replica.stop(0));
      return { replica, output: (stream = 'stdout') => output[stream] };
    },
  };
}

function sandboxRequest(changes: Partial<SandboxRequest>): SandboxRequest {
  return {
    runId: randomUUID(),
    workspaceId: 'conformance',
    agentId: randomUUID(),
    limits: LIMITS,
    env: {},
    allowDomains: [],
    lifetimeMs: 120_000,
    ...changes,
  };
}

function processes(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid);
}

function ofProcess(pid: number, file: 'cmdline' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch (error) {
    // Ended while we looked, or of somebody else.
    if (error instanceof Error && 'code' in error) return '';
    throw error;
  }
}
