import type { LoadResult } from './load.ts';
import type { Bench } from './phase.ts';

type Sections<K extends string> = Readonly<Record<K, (round: number) => Promise<LoadResult>>>;

/**
 * Runs the sections one after the other, again and again, so that whatever disturbs the machine disturbs all of them. A
 * round before the first only warms up.
 */
export async function inTurn<K extends string>(bench: Bench, sections: Sections<K>): Promise<Record<K, LoadResult[]>> {
  const names = Object.keys(sections).filter((name): name is K => name in sections);
  // Filled below with one list for each name.
  const results = Object.fromEntries(names.map((name) => [name, [] as LoadResult[]])) as Record<K, LoadResult[]>;
  for (let round = 0; round <= bench.options.rounds; round += 1) {
    for (const name of names) {
      const result = await sections[name](round);
      if (round > 0) results[name].push(result);
    }
    bench.say(`round ${round} of ${bench.options.rounds}: ${names.map((name) => lastRate(results[name])).join(' · ')}`);
  }
  return results;
}

function lastRate(results: readonly LoadResult[]): string {
  return results.length === 0 ? 'warm-up' : `${(results.at(-1)?.perSecond ?? 0).toFixed(0)}/s`;
}
