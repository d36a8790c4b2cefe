import { type Figure, figure } from '../support/figure.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { countedRun, type Run, ratesOf, runProgram } from '../support/program.ts';
import { inTurn } from '../support/rounds.ts';
import { ratios } from '../support/statistics.ts';
import { appendEvents, localSigner, newChain } from './append.ts';

/** Events that a verification is measured on, at least: a start costs about a second of CPU, which must not be the figure. */
const EVENTS = { event: 50_000, batch: 200_000 };
/** Events of the chain with which memory is compared, and of the one that may not need more. */
const FEW = 10_000;
const MANY = { usual: 100_000, full: 1_000_000 };
const FILL_SECONDS = 3;
const FILLERS = 8;
/** Events of one unit: only their number matters. */
const PER_UNIT = 64;

export const verify: Phase = {
  name: 'verify',
  what: '`audit verify` of a chain, signed by event and by batch, against Ed25519 verification alone',
  run: measureVerify,
};

export const verifyMemory: Phase = {
  name: 'verify-memory',
  what: 'resident memory of `audit verify` of a short and of a long chain',
  run: measureMemory,
};

async function measureVerify(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const chain = await filledChain(bench, 'verify', 'event', EVENTS.event);
  const batched = await filledChain(bench, 'verify-batch', 'batch', EVENTS.batch);
  await world.db.query('VACUUM (ANALYZE) audit_events');
  const verifying = (name: string) => () => countedRun(bench, 'verify-log', [world.databaseUrl, name]);
  const results = await inTurn<'raw' | 'verify' | 'batch', Run>(bench, 1, {
    raw: () => countedRun(bench, 'raw-verify', [String(options.seconds)]),
    verify: verifying(chain),
    batch: verifying(batched),
  });
  // By CPU time: what one core would do if it did nothing else.
  const perCore = (runs: readonly Run[]) => runs.map(({ count, cpu }) => count / cpu);
  const [ours, raw] = [perCore(results.verify), perCore(results.raw)];
  return [
    figure('verify.ratio', 'events verified per core, against Ed25519 alone', 'x', ratios(ours, raw)),
    figure('verify.perCore', 'events verified per second of CPU', '/s', ours),
    figure('verify.batch.perCore', 'batch-signed events verified per second of CPU', '/s', perCore(results.batch)),
    figure('verify.raw', 'Ed25519 verifications per second of CPU', '/s', raw),
    figure('verify.perSecond', 'events verified, by the clock', '/s', ratesOf(results.verify)),
    figure('verify.batch.perSecond', 'batch-signed events verified, by the clock', '/s', ratesOf(results.batch)),
    figure(
      'verify.events',
      'events in the chain',
      '',
      results.verify.map(({ count }) => count),
    ),
  ];
}

async function measureMemory(bench: Bench): Promise<Figure[]> {
  const many = bench.options.full ? MANY.full : MANY.usual;
  const chains = {
    few: await filledChain(bench, 'memory-few', 'event', FEW),
    many: await filledChain(bench, 'memory-many', 'event', many),
  };
  const peak = async (chain: string) => {
    const { peakMiB = Number.NaN } = await runProgram(bench, 'verify-log', [bench.world.databaseUrl, chain]);
    return peakMiB;
  };
  const [few, long] = [await peak(chains.few), await peak(chains.many)];
  return [
    figure('verify.memory.few', `most memory of a verification of ${FEW} events`, 'MiB', [few]),
    figure('verify.memory.many', `most memory of a verification of ${many} events`, 'MiB', [long]),
    figure('verify.memory.ratio', 'the one against the other', 'x', [long / few]),
  ];
}

async function filledChain(bench: Bench, name: string, mode: 'event' | 'batch', events: number): Promise<string> {
  const chain = await newChain(bench, name);
  const signer = localSigner(bench);
  for (let there = 0; there < events; ) {
    const run = { what: 'append', chain, mode, signer, perUnit: PER_UNIT } as const;
    there += (await appendEvents(bench, { ...run, seconds: FILL_SECONDS, concurrency: FILLERS })).count;
    bench.say(`  ${there} events in ${chain}`);
  }
  return chain;
}
