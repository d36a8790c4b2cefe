import { fileURLToPath } from 'node:url';

import type { Bench } from './phase.ts';

const LIMIT_MS = 900_000;

/** What a program of the bench prints. */
export interface Run {
  readonly count: number;
  readonly perSecond: number;
  /** Seconds on all its threads. */
  readonly cpu: number;
}

/** Runs a program of the bench to its end; the JSON line that it prints. */
export async function runProgram(
  { world }: Bench,
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, number>>> {
  const child = await world.start({
    args: [pathOf(name), ...args],
    env: { ...world.databaseEnv, ...env },
    limitMs: LIMIT_MS,
  });
  await child.stop();
  return child.ready as Record<string, number>;
}

/** As runProgram, of one that counts what it has done in `seconds`. */
export async function countedRun(
  bench: Bench,
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const { count = Number.NaN, seconds = Number.NaN, cpu = Number.NaN } = await runProgram(bench, name, args, env);
  return { count, perSecond: count / seconds, cpu };
}

/** Where a program of the bench is. */
export function pathOf(name: string): string {
  return fileURLToPath(new URL(`../${name}.ts`, import.meta.url));
}

export function ratesOf(runs: readonly Run[]): number[] {
  return runs.map(({ perSecond }) => perSecond);
}
