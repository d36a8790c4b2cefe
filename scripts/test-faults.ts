// `npm run test:faults`: the long form of the fault harness. Every run prints its seed; `--seed <n> --scenario <name>`
// tries the same again. Ends with N passed, N failed[, N skipped], and 1 when a run failed.
import { parseArgs } from 'node:util';

import { SCENARIOS } from '../test/faults/scenarios/index.ts';
import { openHarness } from '../test/faults/support/harness.ts';
import { describeResult, type RunResult, runScenario, type Scenario } from '../test/faults/support/run.ts';
import { startTestServer } from '../test/support/postgres.ts';

const USAGE = `Usage: npm run test:faults -- [--scenario <name or beginning>] [--seed <n>] [--runs <n per scenario>] [--list]

Without options: every scenario as often as it says, each run with the next seed.
`;
const MAX_SEED = 1_000_000;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: '' },
    seed: { type: 'string' },
    runs: { type: 'string' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const chosen = SCENARIOS.filter(({ name }) => name.startsWith(values.scenario));
if (values.help) process.stdout.write(USAGE);
else if (values.list) for (const { name, why, runs } of SCENARIOS) console.log(`${name} (${runs} runs): ${why}`);
else if (chosen.length === 0 || isBad(values.seed) || isBad(values.runs)) {
  process.stderr.write(USAGE);
  process.exitCode = 64;
} else process.exitCode = await runAll(chosen);

async function runAll(scenarios: readonly Scenario[]): Promise<number> {
  const first = values.seed === undefined ? Date.now() % MAX_SEED : Number(values.seed);
  const server = await startTestServer();
  // Where the test support looks for the run's server.
  Object.assign(process.env, server.env);
  const harness = await openHarness();
  const results: RunResult[] = [];
  try {
    for (const scenario of scenarios) {
      const runs = Number(values.runs ?? scenario.runs);
      for (let run = 0; run < runs; run += 1) {
        const result = await runScenario(harness, scenario, first + run);
        results.push(result);
        for (const line of describeResult(result)) console.log(line);
      }
    }
  } finally {
    await harness.close();
    await server.stop();
  }
  return summarise(results);
}

function summarise(results: readonly RunResult[]): number {
  const skipped = results.filter((one) => one.skipped !== undefined).length;
  const failed = results.filter((one) => one.error !== undefined || one.violations.length > 0);
  const kills = results.filter(({ scenario }) => scenario.startsWith('kill9'));
  if (kills.length > 0) {
    const lost = kills.flatMap(({ violations }) => violations).filter(({ invariant }) => invariant === 'I3').length;
    const told = kills.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
    console.log(`kill -9: ${kills.length} runs, ${told} acknowledged calls, ${lost} acknowledged events lost`);
  }
  for (const { scenario, seed } of failed)
    console.log(`again: npm run test:faults -- --scenario ${scenario} --seed ${seed} --runs 1`);
  const passed = results.length - failed.length - skipped;
  console.log(`${passed} passed, ${failed.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failed.length === 0 ? 0 : 1;
}

function isBad(number: string | undefined): boolean {
  return number !== undefined && !/^\d{1,9}$/.test(number);
}
