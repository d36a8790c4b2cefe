import { randomInt } from 'node:crypto';
import fc, { type IAsyncProperty, type IProperty } from 'fast-check';
import type { Test } from 'tap';

/** Runs of one property when nothing is said: few, for every `npm test` has other seeds. */
const DEFAULT_RUNS = 1;

/** TESTING_ABUSE_RUNS: how often each property runs. */
export const RUNS = Number(process.env['TESTING_ABUSE_RUNS'] ?? DEFAULT_RUNS);
/** TESTING_ABUSE_SEED: the seed of a run to be repeated; a failure prints it with the path to the counterexample. */
const SEED = Number(process.env['TESTING_ABUSE_SEED'] ?? randomInt(2 ** 31 - 1));

/** Runs the property and fails the test with seed, path and counterexample. */
export async function holds<Ts>(t: Test, property: IAsyncProperty<Ts> | IProperty<Ts>, factor = 1): Promise<void> {
  t.comment(`TESTING_ABUSE_SEED=${SEED} TESTING_ABUSE_RUNS=${RUNS}`);
  const options = { seed: SEED, numRuns: Math.max(1, Math.round(RUNS * factor)) };
  try {
    await fc.assert(property, options);
    t.pass(`${options.numRuns} runs`);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const cause = error.cause instanceof Error ? `${error.cause.message}\n` : '';
    t.fail(`${cause}${error.message}`);
  }
}
