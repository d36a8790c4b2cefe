import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';

const READY_MS = 60_000;
const END_MS = 20_000;

export interface Child {
  readonly pid: number;
  /** What it printed as its first line. */
  readonly ready: unknown;
  /** SIGTERM, then SIGKILL; resolves when it is gone. Safe to call twice. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly args: readonly string[];
  /** `node` unless said. */
  readonly program?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Takes stderr. */
  readonly log: string;
  /** ms until it must be ready. */
  readonly limitMs?: number;
  /** Ready when this resolves; without it, at the first line on stdout, which must be JSON. */
  readonly until?: () => Promise<void>;
}

/** Starts a program of the bench; it is ended by its pid, also when this process ends unexpectedly. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { args, program = process.execPath, env = {}, log, limitMs = READY_MS, until } = options;
  const errors = openSync(log, 'a');
  const child = spawn(program, [...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', until === undefined ? 'pipe' : errors, errors],
  });
  const lastChance = () => void child.kill('SIGKILL');
  process.once('exit', lastChance);
  const { promise: exited, resolve: gone } = Promise.withResolvers<void>();
  // Not `exit`: what it has printed may still be on its way then.
  child.once('close', () => {
    process.off('exit', lastChance);
    gone();
  });
  const stop = async (): Promise<void> => {
    const patience = setTimeout(() => child.kill('SIGKILL'), END_MS);
    if (isRunning(child)) child.kill('SIGTERM');
    else gone();
    await exited;
    clearTimeout(patience);
  };
  try {
    const ready = await within(limitMs, args, exited, until === undefined ? firstLine(child) : until());
    return { pid: child.pid ?? 0, ready, stop };
  } catch (error) {
    await stop();
    throw new Error(`${args.join(' ')} did not start; see ${log}`, { cause: error });
  }
}

async function firstLine(child: ChildProcess): Promise<unknown> {
  if (child.stdout === null) throw new Error('no stdout');
  const lines = createInterface({ input: child.stdout });
  const { promise, resolve } = Promise.withResolvers<string>();
  lines.once('line', resolve);
  return JSON.parse(await promise);
}

async function within<T>(ms: number, args: readonly string[], exited: Promise<void>, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${args.join(' ')}: not ready after ${ms} ms`)), ms);
  void exited.then(() => reject(new Error(`${args.join(' ')} ended`)));
  late.catch(() => undefined);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}
