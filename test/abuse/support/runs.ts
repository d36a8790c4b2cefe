import type { IAsyncProperty, IProperty } from 'fast-check';
import type { Test } from 'tap';
import fc, { SEED } from '../../support/fast-check.ts';

/** Runs of one property when nothing is said: a look further is TESTING_SEED=random TESTING_ABUSE_RUNS=20. */
const DEFAULT_RUNS = 1;

/** TESTING_ABUSE_RUNS: how often each property runs. */
export const RUNS = Number(process.env['TESTING_ABUSE_RUNS'] ?? DEFAULT_RUNS);

/** Runs the property and fails the test with seed, path and counterexample. */
export async function holds<Ts>(t: Test, property: IAsyncProperty<Ts> | IProperty<Ts>, factor = 1): Promise<void> {
  t.comment(`TESTING_SEED=${SEED} TESTING_ABUSE_RUNS=${RUNS}`);
  const options = { numRuns: Math.max(1, Math.round(RUNS * factor)) };
  try {
    await fc.assert(property, options);
    t.pass(`${options.numRuns} runs`);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const cause = error.cause instanceof Error ? `${error.cause.message}\n` : '';
    t.fail(`${cause}${error.message}`);
  }
}
