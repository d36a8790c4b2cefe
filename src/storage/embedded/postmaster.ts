import { readFile, readlink, realpath, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { run } from './command.ts';
import { EmbeddedPostgresError } from './errors.ts';

/** ms; how long a server may take to end after each signal before the next, harder one. */
const FAST_MS = 10_000;
const IMMEDIATE_MS = 5_000;
const KILL_MS = 5_000;
const POLL_MS = 15;

/** The lines of postmaster.pid (PostgreSQL, miscadmin.h: LOCK_FILE_LINE_*). */
const PID_LINE = 0;
const STATUS_LINE = 7;

/** The pid and status a running server wrote into its data directory; undefined without one. */
export async function readPidFile(pgdata: string): Promise<{ pid: number; status: string } | undefined> {
  const text = await readFile(join(pgdata, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const lines = text?.split('\n') ?? [];
  const pid = Number(lines[PID_LINE]);
  return Number.isInteger(pid) && pid > 0 ? { pid, status: (lines[STATUS_LINE] ?? '').trim() } : undefined;
}

/** Ends a server that a killed service left behind on this data directory. Never touches any other process. */
export async function stopOrphan(
  pgdata: string,
  logger: { warn(fields: object, message: string): void },
): Promise<void> {
  const found = await readPidFile(pgdata);
  if (found === undefined || !isAlive(found.pid)) return;
  if (!(await isServerOf(found.pid, pgdata))) {
    // The number now belongs to an unrelated process, for whose sake PostgreSQL would refuse to start.
    await rm(join(pgdata, 'postmaster.pid'), { force: true });
    return;
  }
  logger.warn({ pid: found.pid }, 'stopping a database server left behind by an earlier run');
  // By what it is, not by its number: where nobody reaps the dead, the number stays taken.
  await endServer(found.pid, () => isServerOf(found.pid, pgdata));
}

/** Fast shutdown (SIGINT), then immediate (SIGQUIT), then SIGKILL, each with a limit. */
export async function endServer(pid: number, alive: () => boolean | Promise<boolean>): Promise<void> {
  const steps = [
    ['SIGINT', FAST_MS],
    ['SIGQUIT', IMMEDIATE_MS],
    ['SIGKILL', KILL_MS],
  ] as const;
  for (const [signal, limit] of steps) {
    if (!(await alive())) return;
    send(pid, signal);
    for (const deadline = Date.now() + limit; (await alive()) && Date.now() < deadline; ) await delay(POLL_MS);
  }
  if (await alive()) throw new EmbeddedPostgresError('START_FAILED', `the database server ${pid} does not end`);
}

function isAlive(pid: number): boolean {
  return send(pid, 0);
}

/** False when there is no such process any more. */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    // EPERM: it lives, and is not ours.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** A postgres whose working directory is this data directory: every server process has it there. */
async function isServerOf(pid: number, pgdata: string): Promise<boolean> {
  const directory = await realpath(pgdata);
  if (process.platform !== 'linux') {
    const command = await run('ps', ['-o', 'command=', '-p', String(pid)]).catch(() => '');
    return command.includes('postgres') && command.includes(directory);
  }
  const [cwd, program] = await Promise.all([
    readlink(`/proc/${pid}/cwd`).catch(() => ''),
    readlink(`/proc/${pid}/exe`).catch(() => ''),
  ]);
  // The file may have been replaced by an update meanwhile: the kernel then adds " (deleted)".
  return cwd === directory && basename(program).startsWith('postgres');
}
