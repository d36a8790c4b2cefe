import { type Figure, figure } from '../support/figure.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { runProgram } from '../support/program.ts';

const CONCURRENCY = 64;
/** Each lasts some three intervals of rounds. */
const RUNS = { usual: 1, full: 3 };

export const checkpoints: Phase = {
  name: 'checkpoints',
  what: 'what checkpoints cost of the CPU that appending takes',
  run: measureCheckpoints,
};

async function measureCheckpoints(bench: Bench): Promise<Figure[]> {
  const { options, world } = bench;
  const runs: Readonly<Record<string, number>>[] = [];
  for (let run = 0; run < (options.full ? RUNS.full : RUNS.usual); run += 1) {
    const args = [options.seconds, CONCURRENCY, world.postmaster].map(String);
    runs.push(await runProgram(bench, 'checkpoint-cost', args));
  }
  const of = (name: string) => runs.map((run) => run[name] ?? Number.NaN);
  return [
    figure('checkpoints.share', 'tree and rounds against the rest of an append, CPU', 'x', of('share')),
    figure('checkpoints.append', 'CPU of an append, PostgreSQL with it', 'µs', of('appendMicros')),
    figure('checkpoints.tree', 'CPU of the tree that an append keeps', 'µs', of('treeMicros')),
    figure('checkpoints.round', 'CPU of the rounds for each event, PostgreSQL with it', 'µs', of('roundMicros')),
  ];
}
