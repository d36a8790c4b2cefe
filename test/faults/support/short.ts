import t from 'tap';

import { SEED } from '../../support/fast-check.ts';
import { openHarness } from './harness.ts';
import { describeResult, type FaultScenario, runScenario, type Scenario } from './run.ts';

/** Other tests run beside these: enough calls to be in the way of every fault, and no more. */
const THINK_MS = 20;

/** One run of each; faults given together follow each other in one run, which saves most of the time. */
export async function shortForm(...groups: readonly (Scenario | readonly FaultScenario[])[]): Promise<void> {
  const harness = await openHarness({ certsDir: process.env['TESTING_CERTS_DIR'], thinkMs: THINK_MS });
  t.teardown(() => harness.close());
  for (const group of groups) {
    const all = 'name' in group ? [group] : group;
    for (const { name, awaits } of all) if (awaits !== undefined) t.pass(name, { skip: awaits });
    const ready = all.filter(({ awaits }) => awaits === undefined);
    if (ready.length === 0) continue;
    await t.test(`${ready.map(({ name }) => name).join(', ')} (--seed ${SEED})`, async (t) => {
      const [first, ...rest] = ready.filter((one) => 'fault' in one);
      const [own] = ready.filter((one) => 'run' in one);
      const what = first === undefined ? own : ([first, ...rest] as const);
      if (what === undefined) return;
      const result = await runScenario(harness, what, SEED);
      if (result.skipped !== undefined) {
        t.pass(result.scenario, { skip: result.skipped });
        return;
      }
      const lines = describeResult(result).join('\n');
      t.comment(lines);
      t.equal(result.error, undefined, lines);
      t.same(result.violations, [], lines);
      t.ok(result.acknowledged > 0, 'something was acknowledged');
    });
  }
}
