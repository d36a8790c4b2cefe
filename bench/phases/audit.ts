import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { makeBaselineTables } from '../support/baseline-tables.ts';
import { type Figure, figure } from '../support/figure.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { inTurn } from '../support/rounds.ts';
import { ratios } from '../support/statistics.ts';

const CONCURRENCY = 64;
/** Events that a verification is measured on, at least. */
const EVENTS = 50_000;
const APPEND_SECONDS = 5;
const FILLERS = 8;

export const append: Phase = {
  name: 'append',
  what: 'signed events on one chain, against plain INSERTs, without HTTP',
  run: measureAppend,
};

export const verify: Phase = {
  name: 'verify',
  what: '`audit verify` of a chain, against Ed25519 verification alone',
  run: measureVerify,
};

/** What a program of the bench prints. */
interface Run {
  readonly count: number;
  readonly perSecond: number;
  /** Seconds on all its threads. */
  readonly cpu: number;
}

async function measureAppend(bench: Bench): Promise<Figure[]> {
  await makeBaselineTables(bench.world.db);
  const chain = await newChain(bench, 'append');
  const { seconds } = bench.options;
  const results = await inTurn<'insert' | 'append', Run>(bench, CONCURRENCY, {
    insert: (concurrency) => run(bench, 'audit-append', ['insert', String(seconds), String(concurrency)]),
    append: (concurrency) => appendEvents(bench, 'append', chain, seconds, concurrency),
  });
  const [events, rows] = [rates(results.append), rates(results.insert)];
  return [
    figure('append.perSecond', 'audit events appended to one chain', '/s', events),
    figure('append.baseline', 'plain committed INSERTs', '/s', rows),
    figure('append.ratio', 'audit events against plain committed INSERTs', 'x', ratios(events, rows)),
    figure('append.cpu', 'CPU of the appender per event', 'µs', results.append.map(cpuEach)),
  ];
}

async function measureVerify(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const chain = await newChain(bench, 'verify');
  for (let events = 0; events < EVENTS; ) {
    events += (await appendEvents(bench, 'fill', chain, APPEND_SECONDS, FILLERS)).count;
    bench.say(`${events} events to verify`);
  }
  await world.db.query('VACUUM (ANALYZE) audit_events');
  const results = await inTurn<'raw' | 'verify', Run>(bench, 1, {
    raw: () => run(bench, 'raw-verify', [String(options.seconds)]),
    verify: () => run(bench, 'verify-log', [world.databaseUrl, chain]),
  });
  // By CPU time: what one core would do if it did nothing else.
  const perCore = (runs: readonly Run[]) => runs.map(({ count, cpu }) => count / cpu);
  const [ours, raw] = [perCore(results.verify), perCore(results.raw)];
  return [
    figure('verify.ratio', 'events verified per core, against Ed25519 alone', 'x', ratios(ours, raw)),
    figure('verify.perCore', 'events verified per second of CPU', '/s', ours),
    figure('verify.raw', 'Ed25519 verifications per second of CPU', '/s', raw),
    figure('verify.perSecond', 'events verified, by the clock', '/s', rates(results.verify)),
    figure(
      'verify.events',
      'events in the chain',
      '',
      results.verify.map(({ count }) => count),
    ),
  ];
}

async function newChain({ world }: Bench, workspaceId: string): Promise<string> {
  await world.call('POST', '/v1/workspaces', { workspaceId }, 201);
  return workspaceId;
}

function appendEvents(
  bench: Bench,
  how: 'append' | 'fill',
  chain: string,
  seconds: number,
  concurrency: number,
): Promise<Run> {
  const keyFile = join(bench.world.home, 'data', 'keys', 'audit.pem');
  return run(bench, 'audit-append', [how, String(seconds), String(concurrency), keyFile, chain]);
}

/** Runs a program of the bench to its end; the line it prints. */
async function run({ world }: Bench, name: string, args: readonly string[]): Promise<Run> {
  const program = fileURLToPath(new URL(`../${name}.ts`, import.meta.url));
  const child = await world.start({ args: [program, ...args], env: world.databaseEnv, limitMs: 600_000 });
  await child.stop();
  const printed = child.ready as { count?: number; requests?: number; seconds: number; cpu: number };
  const count = printed.count ?? printed.requests ?? Number.NaN;
  return { count, perSecond: count / printed.seconds, cpu: printed.cpu };
}

function rates(runs: readonly Run[]): number[] {
  return runs.map(({ perSecond }) => perSecond);
}

function cpuEach({ cpu, count }: Run): number {
  return (cpu / count) * 1e6;
}
