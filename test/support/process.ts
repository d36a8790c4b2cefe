import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { Tap } from './postgres.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const POLL_MS = 20;

export type Env = Readonly<Record<string, string>>;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that a test has started; killed at teardown if it is still there. */
export interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  readonly exited: Promise<Exit>;
}

/** What is compiled once in a run of all tests (scripts/test.ts). */
const compiled = process.env['NODE_COMPILE_CACHE'];

/** Starts `node <args>` with `env` and nothing of this run's environment but PATH. */
export function start(t: Tap, args: readonly string[], env: Env): Running {
  const child = spawn(process.execPath, [...args], {
    env: {
      PATH: process.env['PATH'] ?? '',
      ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return running(t, child);
}

/** Collects what a process prints, and ends it with the test. */
export function running(t: Tap, child: ChildProcessByStdio<null, Readable, Readable>): Running {
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const { promise: exited, resolve, reject } = Promise.withResolvers<Exit>();
  child.once('error', reject);
  child.once('close', (code, signal) => resolve({ code, signal }));
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
  });
  return { child, pid: child.pid ?? 0, stdout: () => output.stdout, stderr: () => output.stderr, exited };
}

/** Starts `castellan <args>`. */
export function castellan(t: Tap, args: readonly string[], env: Env = {}): Running {
  return start(t, [MAIN, ...args], env);
}

/** Runs `castellan <args>` to its end. */
export async function finished(
  t: Tap,
  args: readonly string[],
  env: Env = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const running = castellan(t, args, env);
  const { code } = await running.exited;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
}

/** Resolves when `condition` holds; rejects after `limitMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 20_000,
): Promise<void> {
  for (const deadline = Date.now() + limitMs; !(await condition()); await delay(POLL_MS)) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${limitMs} ms`);
  }
}

/** The end of a process, or an error with what it has said when it does not come in time. */
export async function exitWithin(running: Running, limitMs: number): Promise<Exit> {
  const late = delay(limitMs, undefined, { ref: false }).then(() => {
    throw new Error(`still running after ${limitMs} ms: ${running.stderr()}`);
  });
  return Promise.race([running.exited, late]);
}

/** A directory of the test's own that the account of an embedded database may walk through, with a `tmp` in it. */
export async function testHome(t: Tap): Promise<{ home: string; tmp: string }> {
  const home = await mkdtemp(join(tmpdir(), 'castellan-test-home-'));
  const tmp = join(home, 'tmp');
  await mkdir(tmp);
  await chmod(home, 0o755);
  await chmod(tmp, 0o1777);
  t.teardown(() => rm(home, { recursive: true, force: true }));
  return { home, tmp };
}

/** Living processes whose working directory is in `dir`: every PostgreSQL process sits in its data directory. */
export function processesIn(dir: string): number[] {
  const root = realpathSync(dir);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && workingDirectory(pid).startsWith(`${root}/`));
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch (error) {
    // Ended while we looked.
    if (error instanceof Error && 'code' in error) return '';
    throw error;
  }
}
