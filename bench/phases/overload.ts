import { Worker } from 'node:worker_threads';

import { type Agents, settleTables, workspaceWithAgents } from '../support/agents.ts';
import { type Figure, figure } from '../support/figure.ts';
import { requestBytes } from '../support/http-connection.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { runStorm, type StormResult } from '../support/storm.ts';
import type { Service } from '../support/world.ts';

const USUAL_CONNECTIONS = 64;
const TIMES = 10;
const SECONDS = { usual: 10, full: 60 };
const BEFORE_SECONDS = 5;
const WORKSPACES = 16;
/** What a request may be answered with while there are too many. */
const EXPECTED = new Set([200, 429, 503]);
/** Back to normal: the 99th percentile of a second is at most this many times what it was before. */
const BACK = 2;
/** s until which it is looked for. */
const BACK_LIMIT = 30;

export const overload: Phase = {
  name: 'overload',
  what: `${TIMES} times the usual connections, each sending as fast as it can, with the limits in force`,
  run: measureOverload,
};

async function measureOverload(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const connections = USUAL_CONNECTIONS * TIMES;
  const all: Agents[] = [];
  for (let n = 0; n < WORKSPACES; n += 1) {
    all.push(await workspaceWithAgents(world, `overload-${n}`, connections / WORKSPACES));
  }
  // Its kill switch is no reason for any other answer.
  const apart = await workspaceWithAgents(world, 'overload-apart', 1);
  await settleTables(world.db);
  const service = await world.startService({}, { limited: true });
  try {
    const requests = Array.from({ length: connections }, (_, index) => turnsOf(service, all, index));
    const storm = (count: number, seconds: number) =>
      runStorm({
        target: service.target,
        connections: count,
        seconds,
        next: (connection, turn) => requests[connection]?.[turn % 4] ?? Buffer.alloc(0),
      });
    // What is cold everywhere at once would be a test of cold starts.
    await storm(WORKSPACES, BEFORE_SECONDS);
    const before = await storm(USUAL_CONNECTIONS, BEFORE_SECONDS);
    bench.say(`  before: ${told(before)}`);
    const healthProbes = probing('health-probe.ts', { ops: service.ops });
    const brakeProbes = probing('brake-probe.ts', { target: service.target, workspaceId: apart.workspaceId });
    const during = await storm(connections, options.full ? SECONDS.full : SECONDS.usual);
    const health = await healthProbes.end();
    const brakes = await brakeProbes.end();
    bench.say(`  during: ${told(during)}; health ${JSON.stringify(health)}; brakes ${JSON.stringify(brakes)}`);
    for (const sample of during.samples.values()) bench.say(`    ${sample}`);
    const back = await secondsUntilBack(bench, () => storm(USUAL_CONNECTIONS, 1), before.p99 * BACK);
    return overloadFigures({ before, during, health, brakes, back });
  } finally {
    await service.stop();
  }
}

interface Outcome {
  readonly before: StormResult;
  readonly during: StormResult;
  readonly health: Probes;
  readonly brakes: Probes;
  readonly back: number;
}

function overloadFigures({ before, during, health, brakes, back }: Outcome): Figure[] {
  const unexpected = [...during.statuses].reduce((sum, [status, count]) => sum + (EXPECTED.has(status) ? 0 : count), 0);
  const one = (name: string, what: string, unit: string, value: number) =>
    figure(`overload.${name}`, what, unit, [value]);
  return [
    one('unexpected', 'answers other than 200, 429 and 503', '', unexpected),
    one('broken', 'requests without an answer', '', during.broken),
    one(
      'health.missed',
      'probes of livez without a 200 within a second, or of readyz without an answer',
      '',
      health.missed,
    ),
    one('health.slowest', 'the slowest answer of livez or readyz', 'ms', health.slowestMs),
    one('brakes.missed', 'kill switches and locks that were not in force within two seconds', '', brakes.missed),
    one('brakes.slowest', 'the slowest of them', 'ms', brakes.slowestMs),
    one('back', `until the p99 of a second was back within ${BACK} times what it was`, 's', back),
    one('before.p99', `p99 of ${USUAL_CONNECTIONS} connections before`, 'ms', before.p99),
    one('during.p99', 'p99 of the successes meanwhile', 'ms', during.p99),
    one('before.perSecond', 'successes before', '/s', before.succeeded / before.seconds),
    one('during.perSecond', 'successes meanwhile', '/s', during.succeeded / during.seconds),
    one(
      'during.refused',
      'refusals (429 and 503) meanwhile',
      '/s',
      (during.answered - during.succeeded) / during.seconds,
    ),
  ];
}

/** Each connection has an agent of its own, so that every answer is a 200 whenever there is room for the request. */
function turnsOf(service: Service, all: readonly Agents[], index: number): Buffer[] {
  const agents = all[index % WORKSPACES];
  if (agents === undefined) throw new Error('no such workspace');
  const agent = `/v1/workspaces/${agents.workspaceId}/agents/${agents.id(Math.floor(index / WORKSPACES))}`;
  const read = requestBytes(service.target, 'GET', `${agent}/status`);
  const post = (verb: string) => requestBytes(service.target, 'POST', `${agent}/${verb}`, {});
  return [post('start'), read, post('stop'), read];
}

interface Probes {
  readonly probes: number;
  readonly missed: number;
  readonly slowestMs: number;
  /** What was answered instead. */
  readonly samples?: readonly string[];
}

/** Asks again and again, in a thread of its own, until it is ended. */
function probing(program: string, workerData: object): { end(): Promise<Probes> } {
  const worker = new Worker(new URL(`../${program}`, import.meta.url), { workerData });
  const { promise, resolve, reject } = Promise.withResolvers<Probes>();
  worker.once('message', resolve).once('error', reject);
  return {
    end: () => {
      worker.postMessage('end');
      return promise;
    },
  };
}

async function secondsUntilBack(bench: Bench, second: () => Promise<StormResult>, limitMs: number): Promise<number> {
  const started = performance.now();
  for (;;) {
    const from = (performance.now() - started) / 1000;
    const result = await second();
    bench.say(`  after: ${told(result)}`);
    if (result.broken === 0 && result.succeeded === result.answered && result.p99 <= limitMs) return from;
    if (from > BACK_LIMIT) return from;
  }
}

function told({ statuses, broken, p99, seconds }: StormResult): string {
  const counts = [...statuses].map(([status, count]) => `${count} × ${status}`).join(', ');
  return `${counts}, ${broken} without an answer in ${seconds.toFixed(1)} s, p99 ${p99.toFixed(0)} ms`;
}
