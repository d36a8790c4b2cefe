import t from 'tap';

import { SCENARIOS } from '../scenarios/index.ts';
import { openHarness } from './harness.ts';
import { describeResult, runScenario } from './run.ts';

/** Any day's short form tries other seeds; the one that failed is in its name. */
const SEED = Number(process.env['TESTING_FAULTS_SEED'] ?? Date.now() % 1_000_000);

/** The short form: each scenario whose name begins so, once. */
export async function shortForm(...prefixes: readonly string[]): Promise<void> {
  const harness = await openHarness({ certsDir: process.env['TESTING_CERTS_DIR'] });
  t.teardown(() => harness.close());
  for (const scenario of SCENARIOS.filter(({ name }) => prefixes.some((prefix) => name.startsWith(prefix)))) {
    await t.test(`${scenario.name}: ${scenario.why} (--scenario ${scenario.name} --seed ${SEED})`, async (t) => {
      if (scenario.awaits !== undefined) {
        t.pass(scenario.name, { skip: scenario.awaits });
        return;
      }
      const result = await runScenario(harness, scenario, SEED);
      if (result.skipped !== undefined) {
        t.pass(scenario.name, { skip: result.skipped });
        return;
      }
      const lines = describeResult(result);
      t.comment(lines.join('\n'));
      t.equal(result.error, undefined, lines.join('\n'));
      t.same(result.violations, [], lines.join('\n'));
      t.ok(result.acknowledged > 0, 'something was acknowledged');
    });
  }
}
