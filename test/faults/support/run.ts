import { check } from '../check/check.ts';
import type { Evidence, Violation } from '../check/evidence.ts';
import type { Harness, OwnServer } from './harness.ts';
import type { Call } from './history.ts';
import { Skipped } from './skipped.ts';
import { playFaults, type Stage } from './stage.ts';
import { Cleanup, openWorld, type World } from './world.ts';

const MAX_LOGGED = 5;

interface ScenarioFacts {
  readonly name: string;
  readonly why: string;
  /** Runs of it in the long form. */
  readonly runs: number;
  /** What the service does not do yet: until then the short form leaves the scenario out, and says so. */
  readonly awaits?: string;
  /** The server of the run's database; the harmless shared one when absent. Throws Skipped where it cannot be had. */
  readonly server?: (harness: Harness) => Promise<OwnServer>;
}

/** A fault in the midst of a load. Several may follow each other in one run. */
export interface FaultScenario extends ScenarioFacts {
  /** Brings it about and takes it away again; the instance of the stage then serves. */
  readonly fault: (stage: Stage) => Promise<void>;
}

/** A run with a load of its own. */
export interface OwnScenario extends ScenarioFacts {
  readonly run: (world: World, harness: Harness) => Promise<void>;
}

export type Scenario = FaultScenario | OwnScenario;

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
  /** What instances logged as errors, each once. */
  readonly logged: readonly string[];
  readonly events: number;
  readonly seconds: number;
}

/** One run of a scenario, or of several faults one after the other, and everything the checker says of it. */
export async function runScenario(
  harness: Harness,
  scenario: Scenario | readonly [FaultScenario, ...FaultScenario[]],
  seed: number,
): Promise<RunResult> {
  const started = performance.now();
  const clean = new Cleanup();
  let world: World | undefined;
  let violations: readonly Violation[] = [];
  let logged: readonly string[] = [];
  let events = 0;
  let error: string | undefined;
  let skipped: string | undefined;
  const first = 'name' in scenario ? scenario : scenario[0];
  try {
    const server = await first.server?.(harness);
    world = await openWorld(harness, clean, { seed, serverUrl: server?.url() });
    if ('run' in first) await first.run(world, harness);
    else await playFaults(world, server, 'name' in scenario ? [first] : scenario);
    const evidence = await world.evidence();
    events = evidence.facts.events.length;
    violations = check(evidence);
    logged = loggedErrors(evidence);
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
    scenario: 'name' in scenario ? scenario.name : scenario.map(({ name }) => name).join(' + '),
    seed,
    violations,
    error,
    skipped,
    notes: world?.notes ?? [],
    calls: calls.length,
    acknowledged: world?.history.acknowledged ?? 0,
    unknown: calls.filter(({ outcome }) => outcome.kind === 'unknown').length,
    told: histogram(calls),
    logged,
    events,
    seconds: (performance.now() - started) / 1000,
  };
}

/** Messages of level error and above, with what they were caused by. */
function loggedErrors({ logs }: Evidence): string[] {
  const lines = logs.flatMap(({ text }) => text.split('\n')).filter((line) => /"level":[56]0/.test(line));
  return [...new Set(lines.map(messageOf))].slice(0, MAX_LOGGED);
}

function messageOf(line: string): string {
  const { msg, err }: { msg?: string; err?: { message?: string; code?: string; stack?: string } } = JSON.parse(line);
  const frames = (err?.stack ?? '')
    .split('\n')
    .slice(1, 4)
    .map((frame) => frame.trim());
  return [msg, err?.message, err?.code, ...frames].filter((part) => part !== undefined).join(' | ');
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
    ...(failed ? result.logged.map((line) => `    logged: ${line}`) : []),
    ...(failed ? [`    told: ${JSON.stringify(result.told)}`] : []),
  ];
}
