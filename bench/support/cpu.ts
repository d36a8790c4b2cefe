import { readdirSync, readFileSync } from 'node:fs';

/** Hz of the kernel's CPU accounting (USER_HZ, 100 on every Linux platform of ours). */
const TICKS_PER_SECOND = 100;

/** CPU seconds so far. */
export interface CpuReading {
  readonly client: number;
  readonly server: number;
  readonly postgres: number;
  /** Of the whole machine, everybody's. */
  readonly machine: number;
  /** Seconds, by the wall clock. */
  readonly at: number;
}

export interface CpuUse {
  readonly client: number;
  readonly server: number;
  readonly postgres: number;
  /** Cores that were busy with something else, on average. */
  readonly foreignCores: number;
}

/** `server` and `postmaster` are process ids. Children of the postmaster that ended meanwhile are counted. */
export function readCpu(server: number, postmaster: number): CpuReading {
  const own = process.cpuUsage();
  return {
    client: (own.user + own.system) / 1e6,
    server: processSeconds(server).own,
    postgres: postgresSeconds(postmaster),
    machine: machineSeconds(),
    at: performance.now() / 1000,
  };
}

export function cpuBetween(before: CpuReading, after: CpuReading): CpuUse {
  const client = after.client - before.client;
  const server = after.server - before.server;
  const postgres = after.postgres - before.postgres;
  const elapsed = after.at - before.at;
  const foreign = after.machine - before.machine - client - server - postgres;
  return { client, server, postgres, foreignCores: Math.max(0, foreign / elapsed) };
}

/** Fields of /proc/<pid>/stat (proc(5)): 4 ppid, 14 utime, 15 stime, 16 cutime, 17 cstime. */
function processSeconds(pid: number): { parent: number; own: number; children: number } {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name may hold spaces and brackets; what follows its last bracket does not.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const at = (field: number) => fields[field - 3] ?? Number.NaN;
  return {
    parent: at(4),
    own: (at(14) + at(15)) / TICKS_PER_SECOND,
    children: (at(16) + at(17)) / TICKS_PER_SECOND,
  };
}

function postgresSeconds(postmaster: number): number {
  const { own, children } = processSeconds(postmaster);
  let total = own + children;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const process = processSeconds(Number(name));
      if (process.parent === postmaster) total += process.own;
    } catch {
      // It ended while we looked.
    }
  }
  return total;
}

function machineSeconds(): number {
  const line = readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '';
  // user nice system idle iowait irq softirq steal; the guest's times are part of the first two.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}
