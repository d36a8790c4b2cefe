import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { codeOf, procsOf, put, removeCgroup, take } from './files.ts';
import type { Controller } from './plan.ts';
import { words } from './proc.ts';

export interface Moved {
  back(): Promise<void>;
}

/**
 * v2 gives controllers to the children of a cgroup only while it has no process itself (cgroups(7), "no internal processes"):
 * the service goes into a child of it before they are turned on. At the root nothing has to go.
 */
export async function moveService(
  dir: string,
  name: string,
  controllers: readonly Controller[],
): Promise<Moved | undefined> {
  const enabled = words((await take(dir, 'cgroup.subtree_control')) ?? '');
  const wanted = controllers.filter((one) => !enabled.includes(one));
  if (wanted.length === 0) return undefined;
  const turn = (sign: '+' | '-') => put(dir, 'cgroup.subtree_control', wanted.map((one) => sign + one).join(' '));
  const procs = (await take(dir, 'cgroup.type')) === undefined ? [] : await procsOf(dir);
  const child = join(dir, name);
  if (procs.length > 0) {
    await mkdir(child);
    await moveAll(procs, child);
  }
  const back = async () => {
    // Another service may use them meanwhile.
    await turn('-').catch((error: unknown) => {
      if (codeOf(error) !== 'EBUSY') throw error;
    });
    if (procs.length === 0) return;
    await moveAll(await procsOf(child), dir).catch((error: unknown) => {
      if (codeOf(error) !== 'EBUSY') throw error;
    });
    // The service itself is still in it when it could not go back.
    if ((await procsOf(child)).length === 0) await removeCgroup(child);
  };
  try {
    await turn('+');
    return { back };
  } catch (error) {
    await back();
    throw error;
  }
}

/** Whether a process is this one or descends from it. */
export function isOfService(pid: number): boolean {
  for (let at = pid; at > 1; at = parentOf(at)) if (at === process.pid) return true;
  return false;
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return 0;
    throw error;
  }
}

async function moveAll(pids: readonly number[], dir: string): Promise<void> {
  for (const pid of pids) {
    await put(dir, 'cgroup.procs', pid).catch((error: unknown) => {
      if (codeOf(error) !== 'ESRCH') throw error;
    });
  }
}
