import t from 'tap';

import { isolationTest } from '../support/isolation.ts';
import { watchLeftovers } from '../support/leftovers.ts';
import { openIsolation } from './support/attack.ts';
import { mixedRuns } from './support/mixed-runs.ts';

isolationTest(t);

/** `npm run test:isolation` sets 1,000. */
const RUNS = Number(process.env['TESTING_ISOLATION_RUNS'] ?? 72);
const CONCURRENCY = 8;

t.test(`after ${RUNS} runs that end in every way nothing is left`, { timeout: 3_600_000 }, async (t) => {
  const before = watchLeftovers(t);
  const { isolation, ownDir } = await openIsolation(t);
  const open = watchLeftovers(t, { stateDir: ownDir });
  const { wrong, byKind, ms } = await mixedRuns(isolation, RUNS, CONCURRENCY);
  t.comment(`${RUNS} runs in ${(ms / 1000).toFixed(1)} s: ${JSON.stringify(Object.fromEntries(byKind))}`);
  t.same(wrong, [], 'each ended as it must');
  await open.nothingLeft();
  await isolation.close();
  await before.nothingLeft();
});
