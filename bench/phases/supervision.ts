import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { SPEC } from '../support/agents.ts';
import { processesWith } from '../support/cgroup-memory.ts';
import { type CpuUse, cpuBetween, readCpu } from '../support/cpu.ts';
import { type Figure, figure } from '../support/figure.ts';
import type { Bench, Phase } from '../support/phase.ts';

const AGENTS = 200;
/** ms of one look at the CPU: the kernel counts it in steps of 10 ms. */
const WINDOW_MS = 10_000;
const LOOKS = 3;
/** ms for all of them to run. */
const LIMIT_MS = 240_000;
const POLL_MS = 20;
const WORKSPACE = 'supervised';

export const supervision: Phase = {
  name: 'supervision',
  what: `${AGENTS} agents, each a process of its own, that do nothing; all of them stopped by a kill switch`,
  run: measureSupervision,
};

async function measureSupervision(bench: Bench): Promise<Figure[]> {
  const { world } = bench;
  const before = await idle(bench);
  // In the command line of each process inside, and of nobody else's.
  const marker = `86400.${randomInt(1e12)}`;
  await world.call('POST', '/v1/workspaces', { workspaceId: WORKSPACE }, 201);
  const started = performance.now();
  await startAll(bench, marker);
  const running = () => processesWith(marker).filter(({ commandLine }) => commandLine.startsWith('sleep\0')).length;
  await until(() => running() >= AGENTS, 'the agents do not run');
  const seconds = (performance.now() - started) / 1000;
  bench.say(`  ${AGENTS} agents run after ${seconds.toFixed(1)} s`);
  const after = await idle(bench);
  const killed = performance.now();
  await world.call('PUT', `/v1/workspaces/${WORKSPACE}/kill-switch`, { reason: 'end of the measurement' });
  await until(() => processesWith(marker).length === 0, 'the agents do not end');
  const endedMs = performance.now() - killed;
  const share = (uses: readonly CpuUse[], of: 'server' | 'postgres') => uses.map((use) => (use[of] * 1000) / WINDOW_MS);
  return [
    figure('supervision.idle', `of a core, by the service with ${AGENTS} idle agents`, '', share(after, 'server')),
    figure('supervision.without', 'of a core, by the service without any', '', share(before, 'server')),
    figure('supervision.postgres', `of a core, by PostgreSQL with ${AGENTS} idle agents`, '', share(after, 'postgres')),
    figure('supervision.starts', 'agents started through admission, until their process runs', '/s', [
      AGENTS / seconds,
    ]),
    figure('supervision.kill', `kill switch asked for, until no process of ${AGENTS} agents is left`, 'ms', [endedMs]),
  ];
}

async function startAll({ world }: Bench, marker: string): Promise<void> {
  const runtime = { command: ['sleep', marker], resources: { cpu: 0.1, memoryMb: 16, pids: 8, diskMb: 1 } };
  const path = `/v1/workspaces/${WORKSPACE}/agents`;
  for (let index = 0; index < AGENTS; index += 1) {
    const made = await world.call('POST', path, { spec: { ...SPEC, name: `supervised ${index}`, runtime } }, 201);
    if (typeof made !== 'object' || made === null || !('id' in made)) throw new Error('no agent was made');
    await world.call('POST', `${path}/${made.id}/start`, {});
  }
}

async function idle({ world }: Bench): Promise<CpuUse[]> {
  const uses: CpuUse[] = [];
  for (let look = 0; look < LOOKS; look += 1) {
    const before = readCpu(world.service.pid, world.postmaster);
    await pause(WINDOW_MS);
    uses.push(cpuBetween(before, readCpu(world.service.pid, world.postmaster)));
  }
  return uses;
}

async function until(isSo: () => boolean, otherwise: string): Promise<void> {
  for (const deadline = performance.now() + LIMIT_MS; !isSo(); await pause(POLL_MS)) {
    if (performance.now() > deadline) throw new Error(otherwise);
  }
}
