import { closeSync, constants, openSync, readdirSync, readFileSync, rmdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { words } from './proc.ts';

const RMDIR_POLL_MS = 5;
const EMPTY_LIMIT_MS = 10_000;

/**
 * Writes a file that is there: making one is nothing a cgroup can do. Done at once, as reading is: these files are the
 * kernel's memory, and a turn by the pool of threads for each costs a command more than all of them take.
 */
export async function put(dir: string, file: string, value: string | number): Promise<void> {
  const fd = openSync(join(dir, file), constants.O_WRONLY);
  try {
    writeSync(fd, `${value}`);
  } finally {
    closeSync(fd);
  }
}

/** The same for a file that this kernel may not have; answers whether it has. */
export async function putIfThere(dir: string, file: string, value: string | number): Promise<boolean> {
  try {
    await put(dir, file, value);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Undefined when there is no such file. */
export async function take(dir: string, file: string): Promise<string | undefined> {
  try {
    return readFileSync(join(dir, file), 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENODEV') return undefined;
    throw error;
  }
}

export async function procsOf(dir: string): Promise<number[]> {
  return words((await take(dir, 'cgroup.procs')) ?? '').map(Number);
}

/** SIGKILL to all in it, again and again until nothing is: what is forking could slip through one look. */
export async function killAll(dir: string, { v2 }: { readonly v2: boolean }): Promise<void> {
  const deadline = performance.now() + EMPTY_LIMIT_MS;
  for (let procs = await procsOf(dir); procs.length > 0; procs = await procsOf(dir)) {
    const atOnce = v2 && (await putIfThere(dir, 'cgroup.kill', 1));
    // 0: a process of another pid namespace, which cannot be named from here.
    if (!atOnce) for (const pid of procs) if (pid > 0) killOne(pid);
    if (performance.now() > deadline) throw new Error('a cgroup is not empty in spite of SIGKILL');
    await delay(RMDIR_POLL_MS);
  }
}

/** EBUSY is given out for a moment after the last process has gone. */
export async function removeCgroup(dir: string): Promise<void> {
  for (const deadline = performance.now() + EMPTY_LIMIT_MS; ; await delay(RMDIR_POLL_MS)) {
    try {
      rmdirSync(dir);
      return;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      if (codeOf(error) !== 'EBUSY' || performance.now() > deadline) throw error;
    }
  }
}

/** With all that is below and in it. */
export async function removeGroups(dir: string, v2: boolean): Promise<void> {
  for (const name of namesIn(dir)) await removeGroups(join(dir, name), v2);
  await killAll(dir, { v2 });
  await removeCgroup(dir);
}

function namesIn(dir: string): string[] {
  try {
    const entries = readdirSync(dir, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}
