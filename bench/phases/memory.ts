import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { type Agents, settleTables, workspaceWithAgents } from '../support/agents.ts';
import { type Figure, figure } from '../support/figure.ts';
import { requestBytes } from '../support/http-connection.ts';
import { connectInspector, type Inspector } from '../support/inspector.ts';
import type { Bench, Phase } from '../support/phase.ts';
import type { Service } from '../support/world.ts';

const WORKSPACES = 64;
const CONNECTIONS = 64;
/** Of the first starts, for which every policy has to be loaded. */
const GENTLE = 4;
const FEW = 1000;
const MANY = { usual: 20_000, full: 100_000 };
/** ms between two readings of a memory that settles, and the longest that is waited for. */
const SETTLE_STEP_MS = 300;
const SETTLE_MS = 10_000;
/** Bytes by which two readings of a settled memory may differ. */
const SETTLED = 524_288;

export const memory: Phase = {
  name: 'memory',
  what: 'resident memory of a fresh service after few and after many starts',
  run: measureMemory,
};

async function measureMemory(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const total = options.full ? MANY.full : MANY.usual;
  const each = Math.ceil(total / WORKSPACES);
  const all: Agents[] = [];
  for (let n = 0; n < WORKSPACES; n += 1) all.push(await workspaceWithAgents(world, `memory-${n}`, each));
  await settleTables(world.db);

  const service = await world.startService({}, { inspected: true });
  if (service.inspector === undefined) throw new Error('the service has no inspector');
  const inspector = await connectInspector(service.inspector);
  try {
    let next = 0;
    const startUpTo = (count: number, connections: number) =>
      bench.load('memory-starts', service, {
        connections,
        seconds: Number.POSITIVE_INFINITY,
        next: () => (next < count ? startOf(service, all, next++) : undefined),
        mustSay: '"decisionId"',
      });
    await startUpTo(FEW, GENTLE);
    const few = await settledMemory(inspector, service.pid);
    bench.say(`  after ${FEW} starts: ${mebibytes(few).toFixed(1)} MiB`);
    await startUpTo(total, CONNECTIONS);
    const many = await settledMemory(inspector, service.pid);
    bench.say(`  after ${total} starts: ${mebibytes(many).toFixed(1)} MiB`);
    return [
      figure('memory.ratio', `memory after ${total} starts against ${FEW}`, 'x', [many / few]),
      figure('memory.few', `memory after ${FEW} starts`, 'MiB', [mebibytes(few)]),
      figure('memory.many', `memory after ${total} starts`, 'MiB', [mebibytes(many)]),
    ];
  } finally {
    inspector.close();
    await service.stop();
  }
}

function startOf(service: Service, all: readonly Agents[], index: number): Buffer {
  const agents = all[index % WORKSPACES];
  if (agents === undefined) throw new Error('no such workspace');
  const id = agents.id(Math.floor(index / WORKSPACES));
  return requestBytes(service.target, 'POST', `/v1/workspaces/${agents.workspaceId}/agents/${id}/start`, {});
}

/** Bytes resident once garbage is collected and nothing more is given back. */
async function settledMemory(inspector: Inspector, pid: number): Promise<number> {
  let last = Number.POSITIVE_INFINITY;
  for (const deadline = Date.now() + SETTLE_MS; Date.now() < deadline; ) {
    await inspector.send('HeapProfiler.collectGarbage');
    await delay(SETTLE_STEP_MS);
    const now = residentBytes(pid);
    if (Math.abs(last - now) < SETTLED) return now;
    last = now;
  }
  return last;
}

function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kibibytes === undefined) throw new Error(`no memory of process ${pid}`);
  return Number(kibibytes) * 1024;
}

function mebibytes(bytes: number): number {
  return bytes / 1_048_576;
}
