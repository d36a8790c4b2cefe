import { check } from '../check/check.ts';
import type { Violation } from '../check/evidence.ts';
import type { Harness } from './harness.ts';
import type { Call } from './history.ts';
import { Skipped } from './skipped.ts';
import { Cleanup, openWorld, type World } from './world.ts';

export interface Scenario {
  readonly name: string;
  readonly why: string;
  /** Runs of it in the long form. */
  readonly runs: number;
  /** What the service does not do yet: until then the short form leaves the scenario out, and says so. */
  readonly awaits?: string;
  /** The server of the run's database; the harmless shared one when absent. Throws Skipped where it cannot be had. */
  readonly server?: (harness: Harness) => Promise<string>;
  /** Brings the fault about and resolves when the service has recovered and the load has ended. */
  readonly run: (world: World, harness: Harness) => Promise<void>;
}

export interface RunResult {
  readonly scenario: string;
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** What kept the run from its end, which is a failure too. */
  readonly error: string | undefined;
  readonly skipped: string | undefined;
  readonly notes: readonly string[];
  readonly calls: number;
  readonly acknowledged: number;
  readonly unknown: number;
  /** How often clients were told what. */
  readonly told: Readonly<Record<string, number>>;
  readonly events: number;
  readonly seconds: number;
}

/** One run of a scenario and everything the checker says of it. */
export async function runScenario(harness: Harness, scenario: Scenario, seed: number): Promise<RunResult> {
  const started = performance.now();
  const clean = new Cleanup();
  let world: World | undefined;
  let violations: readonly Violation[] = [];
  let events = 0;
  let error: string | undefined;
  let skipped: string | undefined;
  try {
    const serverUrl = await scenario.server?.(harness);
    world = await openWorld(harness, clean, { seed, serverUrl });
    await scenario.run(world, harness);
    const evidence = await world.evidence();
    events = evidence.facts.events.length;
    violations = check(evidence);
  } catch (caught) {
    if (caught instanceof Skipped) skipped = caught.message;
    else error = caught instanceof Error ? (caught.stack ?? caught.message) : String(caught);
  } finally {
    await clean.run().catch((caught: unknown) => {
      error ??= `clean-up: ${caught instanceof Error ? caught.message : String(caught)}`;
    });
  }
  const calls = world?.history.calls ?? [];
  return {
    scenario: scenario.name,
    seed,
    violations,
    error,
    skipped,
    notes: world?.notes ?? [],
    calls: calls.length,
    acknowledged: world?.history.acknowledged ?? 0,
    unknown: calls.filter(({ outcome }) => outcome.kind === 'unknown').length,
    told: histogram(calls),
    events,
    seconds: (performance.now() - started) / 1000,
  };
}

function histogram(calls: readonly Call[]): Record<string, number> {
  const told: Record<string, number> = {};
  for (const { outcome } of calls) {
    const name = outcome.kind === 'answered' ? `${outcome.status} ${outcome.code ?? ''}`.trim() : outcome.reason;
    told[name] = (told[name] ?? 0) + 1;
  }
  return told;
}

/** A line for people, with what is needed to run the same again. */
export function describeResult(result: RunResult): string[] {
  const { scenario, seed, violations, error, skipped, notes, calls, acknowledged, unknown, events, seconds } = result;
  if (skipped !== undefined) return [`skip ${scenario} --seed ${seed}: ${skipped}`];
  const failed = violations.length > 0 || error !== undefined;
  return [
    `${failed ? 'NOT OK' : 'ok'} ${scenario} --seed ${seed}: ${calls} calls, ${acknowledged} acknowledged, ${unknown} unanswered, ${events} events, ${seconds.toFixed(1)} s`,
    ...notes.map((note) => `    note: ${note}`),
    ...violations.map(({ invariant, what }) => `    ${invariant} (seed ${seed}): ${what}`),
    ...(error === undefined ? [] : [`    ${error}`]),
    ...(failed ? [`    told: ${JSON.stringify(result.told)}`] : []),
  ];
}
