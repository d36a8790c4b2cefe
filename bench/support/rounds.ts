import type { Bench } from './phase.ts';

/** Connections of the first warm-up: what is cold everywhere at once would be a test of cold starts. */
const GENTLE = 4;

type Sections<K extends string, R> = Readonly<Record<K, (connections: number) => Promise<R>>>;

/**
 * Runs the sections one after the other, again and again, so that whatever disturbs the machine disturbs all of them. Two
 * rounds before the first only warm up.
 */
export async function inTurn<K extends string, R extends { readonly perSecond: number }>(
  bench: Bench,
  connections: number,
  sections: Sections<K, R>,
): Promise<Record<K, R[]>> {
  const names = Object.keys(sections).filter((name): name is K => name in sections);
  // Filled below with one list for each name.
  const results = Object.fromEntries(names.map((name) => [name, [] as R[]])) as Record<K, R[]>;
  for (const warmUp of [Math.min(GENTLE, connections), connections]) {
    for (const name of names) await sections[name](warmUp);
  }
  for (let round = 1; round <= bench.options.rounds; round += 1) {
    const rates: string[] = [];
    for (const name of names) {
      const result = await sections[name](connections);
      results[name].push(result);
      rates.push(`${name} ${result.perSecond.toFixed(0)}/s`);
    }
    bench.say(`  round ${round} of ${bench.options.rounds}: ${rates.join(' · ')}`);
  }
  return results;
}
