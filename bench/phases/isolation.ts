import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';

import { closeInheritedDescriptors } from '../../src/boot/descriptors.ts';
import { defaultRuntime } from '../../src/config.ts';
import { createEgressRules } from '../../src/egress/rules.ts';
import { createBubblewrapIsolation } from '../../src/runtime/drivers/bubblewrap/index.ts';
import type { CommandResult, Isolation, Sandbox } from '../../src/runtime/isolation.ts';
import { memoryOfCgroup, processWith } from '../support/cgroup-memory.ts';
import { type Figure, figure } from '../support/figure.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { median } from '../support/statistics.ts';

const MIB = 1024 * 1024;
const PAIRS = 100;
const CONCURRENCY = 8;
const IDLE_SANDBOXES = 5;
const WARM_UP = 10;
const HELLO = 'echo hello';

export const isolation: Phase = {
  name: 'isolation',
  what: `${HELLO} isolated, against a plain spawn; runs at the same time; an idle sandbox`,
  run: measureIsolation,
};

async function measureIsolation(bench: Bench): Promise<Figure[]> {
  // As the service does when it starts.
  closeInheritedDescriptors();
  const runtime = defaultRuntime();
  const isolation = createBubblewrapIsolation(runtime, {
    logger: pino({ level: 'silent' }),
    egressRules: createEgressRules(runtime.egress),
    searchPath: process.env['PATH'],
  });
  try {
    const state = await isolation.state();
    if (!state.available) throw new Error(`nothing can be isolated here: ${JSON.stringify(state.problem)}`);
    if (state.limits === 'degraded') throw new Error('limits are not enforced here: the figures would say nothing');
    const figures = [...(await hello(bench, isolation)), ...(await runsPerSecond(bench, isolation))];
    return [...figures, await idleMemory(isolation)];
  } finally {
    await isolation.close();
  }
}

/** In turn, so that whatever disturbs the machine disturbs both; a round is the median of a hundred of each. */
async function hello(bench: Bench, isolation: Isolation): Promise<Figure[]> {
  const rounds: { run: number; command: number; plain: number }[] = [];
  for (let n = 0; n < WARM_UP; n += 1) {
    await plainSpawn();
    await wholeRun(isolation);
  }
  for (let round = 1; round <= bench.options.rounds; round += 1) {
    const times = { run: [] as number[], command: [] as number[], plain: [] as number[] };
    for (let n = 0; n < PAIRS; n += 1) {
      times.plain.push(await timed(plainSpawn));
      const command = await timed(() => wholeRun(isolation));
      times.run.push(command);
    }
    const sandbox = await openSandbox(isolation);
    for (let n = 0; n < PAIRS / 2; n += 1) times.command.push(await timed(() => runHello(sandbox)));
    await sandbox.close();
    const result = { run: median(times.run), command: median(times.command), plain: median(times.plain) };
    rounds.push(result);
    bench.say(`  round ${round}: ${result.run.toFixed(1)} ms isolated, ${result.plain.toFixed(1)} ms plain`);
  }
  return [
    figure(
      'isolation.ratio',
      `${HELLO} in a sandbox of its own, against sh -c`,
      'x',
      rounds.map((r) => r.run / r.plain),
    ),
    figure(
      'isolation.run',
      'sandbox opened, command, closed',
      'ms',
      rounds.map((r) => r.run),
    ),
    figure(
      'isolation.command',
      'one more command of an open sandbox',
      'ms',
      rounds.map((r) => r.command),
    ),
    figure(
      'isolation.plain',
      'sh -c, without isolation',
      'ms',
      rounds.map((r) => r.plain),
    ),
  ];
}

async function runsPerSecond(bench: Bench, isolation: Isolation): Promise<Figure[]> {
  const rates: number[] = [];
  for (let round = 0; round < bench.options.rounds; round += 1) {
    const until = performance.now() + bench.options.seconds * 1000;
    const started = performance.now();
    let runs = 0;
    const worker = async () => {
      while (performance.now() < until) {
        await wholeRun(isolation);
        runs += 1;
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    rates.push((runs * 1000) / (performance.now() - started));
  }
  return [figure('isolation.perSecond', `runs of ${HELLO}, ${CONCURRENCY} at a time`, '/s', rates)];
}

/** What the cgroup of a sandbox holds while its command sleeps. */
async function idleMemory(isolation: Isolation): Promise<Figure> {
  const samples: number[] = [];
  for (let n = 0; n < IDLE_SANDBOXES; n += 1) {
    const sandbox = await openSandbox(isolation);
    const stop = new AbortController();
    const marker = `idle-${randomUUID()}`;
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    const running = sandbox.run(`echo ready; sleep 60; : ${marker}`, {
      timeoutMs: 30_000,
      signal: stop.signal,
      onOutput: () => resolve(),
    });
    await Promise.race([ready, running]);
    samples.push(memoryOfCgroup(processWith(marker)) / MIB);
    stop.abort();
    await running;
    await sandbox.close();
  }
  return figure('isolation.memory', 'cgroup of a sandbox whose command sleeps', 'MiB', samples);
}

async function wholeRun(isolation: Isolation): Promise<void> {
  const sandbox = await openSandbox(isolation);
  try {
    await runHello(sandbox);
  } finally {
    await sandbox.close();
  }
}

async function runHello(sandbox: Sandbox): Promise<void> {
  const signal = new AbortController().signal;
  const done: CommandResult = await sandbox.run(HELLO, { timeoutMs: 20_000, signal });
  if (done.result !== 'ok' || done.stdout.text !== 'hello\n') throw new Error(JSON.stringify(done));
}

function openSandbox(isolation: Isolation): Promise<Sandbox> {
  return isolation.openSandbox({
    runId: randomUUID(),
    workspaceId: 'bench',
    agentId: randomUUID(),
    limits: { cpu: 1, memoryBytes: 512 * MIB, pids: 128, diskBytes: 256 * MIB },
    env: {},
    allowDomains: [],
    lifetimeMs: 60_000,
  });
}

/** Until its output has ended, as everybody would who wants to read it. */
function plainSpawn(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child: ChildProcess = spawn('/bin/sh', ['-c', HELLO], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr?.resume();
  child.once('error', reject);
  child.once('close', (code) => {
    if (code === 0 && output === 'hello\n') resolve();
    else reject(new Error(`${code}: ${output}`));
  });
  return promise;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
