import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import type { Limits, Usage } from '../../../isolation.ts';
import type { CommandCgroup } from '../place.ts';
import { killAll, put, putIfThere, removeCgroup, take } from './files.ts';
import type { Controller } from './plan.ts';
import { counter, whole } from './proc.ts';

const PERIOD_US = 100_000;
/** Of TCP and UDP, sent and not yet read. Above that they go slowly, and nothing of them fails. */
const SOCKET_BYTES = 32 * 1024 ** 2;

/** Directories in which the groups of places are made. */
export interface GroupParents {
  /** Of v2; with hybrid cgroups without controllers, for what it can still do: end all in it at once, and tell its time. */
  readonly unified: string | undefined;
  readonly unifiedControllers: readonly Controller[];
  readonly v1: Readonly<Partial<Record<Controller | 'cpuacct', string>>>;
}

export interface GroupLimits extends Pick<Limits, 'cpu' | 'pids'> {
  /** With the pages of every tmpfs inside. */
  readonly memoryBytes: number;
}

/** The cgroups of one place, one in each hierarchy. */
export interface Group {
  enter(): Promise<CommandCgroup>;
  /** Kills what is left and removes it. */
  remove(): Promise<void>;
}

export async function makeGroup(parents: GroupParents, name: string, limits: GroupLimits): Promise<Group> {
  const at = (parent: string | undefined) => parent && join(parent, name);
  const unified = at(parents.unified);
  const memory = at(parents.v1.memory);
  const dirs = [...new Set([unified, ...Object.values(parents.v1).map(at)].filter((dir) => dir !== undefined))];
  const remove = async () => {
    for (const dir of dirs) await killAll(dir, { v2: dir === unified });
    await Promise.all(dirs.map(removeCgroup));
  };
  try {
    for (const dir of dirs) mkdirSync(dir);
    if (unified !== undefined) await limitUnified(unified, parents.unifiedControllers, limits);
    await limitV1({ memory, pids: at(parents.v1.pids), cpu: at(parents.v1.cpu) }, limits);
  } catch (error) {
    await remove();
    throw error;
  }
  const counters = createCounters({ unified, memory, cpuacct: at(parents.v1.cpuacct) }, parents.unifiedControllers);
  return {
    remove,
    enter: async () => {
      await counters.forgetPeak();
      const [cpuBefore, oomBefore] = await Promise.all([counters.cpuMs(), counters.oomKills()]);
      return {
        // Of v1 the file of threads, of which a shell has one: joining by it does not wait for every processor of the machine.
        joinPaths: dirs.map((dir) => join(dir, dir === unified ? 'cgroup.procs' : 'tasks')),
        kill: async () => {
          for (const dir of dirs) await killAll(dir, { v2: dir === unified });
        },
        usage: async (): Promise<Usage> => {
          const [peakMemoryBytes, cpu] = await Promise.all([counters.peakMemory(), counters.cpuMs()]);
          return { peakMemoryBytes, cpuMs: cpu === null ? null : Math.max(0, cpu - (cpuBefore ?? 0)) };
        },
        oomKills: async () => (await counters.oomKills()) - oomBefore,
      };
    },
  };
}

async function limitUnified(dir: string, controllers: readonly Controller[], limits: GroupLimits): Promise<void> {
  if (controllers.includes('memory')) {
    await put(dir, 'memory.max', limits.memoryBytes);
    await putIfThere(dir, 'memory.swap.max', 0);
  }
  if (controllers.includes('pids')) await put(dir, 'pids.max', limits.pids);
  if (controllers.includes('cpu')) await put(dir, 'cpu.max', `${quota(limits.cpu)} ${PERIOD_US}`);
}

async function limitV1(dirs: Partial<Record<Controller, string | undefined>>, limits: GroupLimits): Promise<void> {
  const { memory, pids, cpu } = dirs;
  if (memory !== undefined) {
    await put(memory, 'memory.limit_in_bytes', limits.memoryBytes);
    // With swap it may be no more, and never less than without: hence the order. Not there without swap accounting.
    await putIfThere(memory, 'memory.memsw.limit_in_bytes', limits.memoryBytes);
    // Nor is what waits in sockets counted with the rest, other than with v2: over loopback it could be all of the machine's.
    await putIfThere(memory, 'memory.kmem.tcp.limit_in_bytes', SOCKET_BYTES);
  }
  if (pids !== undefined) await put(pids, 'pids.max', limits.pids);
  if (cpu !== undefined) {
    await put(cpu, 'cpu.cfs_period_us', PERIOD_US);
    await put(cpu, 'cpu.cfs_quota_us', quota(limits.cpu));
  }
}

function quota(cpu: number): number {
  return Math.max(1000, Math.round(cpu * PERIOD_US));
}

function createCounters(
  dirs: { unified: string | undefined; memory: string | undefined; cpuacct: string | undefined },
  unifiedControllers: readonly Controller[],
) {
  const { unified, memory, cpuacct } = dirs;
  const memoryV2 = unifiedControllers.includes('memory') ? unified : undefined;
  return {
    forgetPeak: async () => {
      if (memory !== undefined) await put(memory, 'memory.max_usage_in_bytes', 0);
    },
    peakMemory: async (): Promise<number | null> => {
      if (memory !== undefined) return whole((await take(memory, 'memory.max_usage_in_bytes')) ?? '') ?? null;
      // Since Linux 5.19, and of the whole life of the group.
      return memoryV2 === undefined ? null : (whole((await take(memoryV2, 'memory.peak')) ?? '') ?? null);
    },
    cpuMs: async (): Promise<number | null> => {
      const us = unified && counter((await take(unified, 'cpu.stat')) ?? '', 'usage_usec');
      if (us !== undefined && us !== '') return Math.round(us / 1000);
      const ns = cpuacct === undefined ? undefined : whole((await take(cpuacct, 'cpuacct.usage')) ?? '');
      return ns === undefined ? null : Math.round(ns / 1_000_000);
    },
    oomKills: async (): Promise<number> => {
      if (memory !== undefined) return counter((await take(memory, 'memory.oom_control')) ?? '', 'oom_kill') ?? 0;
      return memoryV2 === undefined ? 0 : (counter((await take(memoryV2, 'memory.events')) ?? '', 'oom_kill') ?? 0);
    },
  };
}
