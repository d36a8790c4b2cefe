import { setTimeout as delay } from 'node:timers/promises';

export interface Probe {
  /** The answers since the last call. */
  take(): ProbeCounts;
  stop(): Promise<void>;
}

export interface ProbeCounts {
  readonly statuses: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Asks at a steady pace whatever the answers take, and measures from when it meant to ask. */
export function startProbe(perSecond: number, ask: () => Promise<number>): Probe {
  let statuses: Record<string, number> = {};
  let latencies: number[] = [];
  let stopped = false;
  const underWay = new Set<Promise<void>>();

  async function one(meant: number): Promise<void> {
    const status = await ask().catch(() => 'error');
    latencies.push(performance.now() - meant);
    statuses[status] = (statuses[status] ?? 0) + 1;
  }

  async function pace(): Promise<void> {
    for (let meant = performance.now(); !stopped; meant += 1000 / perSecond) {
      await delay(Math.max(0, meant - performance.now()));
      const asked = one(meant).finally(() => underWay.delete(asked));
      underWay.add(asked);
    }
  }
  const paced = pace();

  return {
    take: () => {
      const sorted = latencies.sort((a, b) => a - b);
      const at = (part: number) =>
        Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
      const counts = { statuses, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
      statuses = {};
      latencies = [];
      return counts;
    },
    stop: async () => {
      stopped = true;
      await paced;
      await Promise.all(underWay);
    },
  };
}
