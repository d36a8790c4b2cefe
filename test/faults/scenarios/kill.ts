import type { Failpoint } from '../../../src/failpoints.ts';
import { until } from '../../support/process.ts';
import { moreAcknowledged } from '../support/conduct.ts';
import { sendGarbage } from '../support/garbage.ts';
import type { Scenario } from '../support/run.ts';
import type { World } from '../support/world.ts';

/** Where a process dies: between two steps of the append, or wherever it is at that moment. */
const PLACES: Readonly<Record<string, Failpoint | 'random'>> = {
  'kill9-hash-sign': 'audit.hashed',
  'kill9-sign-insert': 'audit.signed',
  'kill9-insert-commit': 'audit.inserted',
  'kill9-commit-answer': 'audit.committed',
  'kill9-random': 'random',
};
/** ms */
const REACHED_WITHIN_MS = 20_000;
const MAX_RANDOM_MS = 400;

export const KILL_SCENARIOS: readonly Scenario[] = Object.entries(PLACES).map(([name, place]) => ({
  name,
  why: `SIGKILL under load, ${place === 'random' ? 'at a random moment' : `at ${place}`}; another process takes over`,
  runs: 24,
  run: (world) => killAt(world, place),
}));

async function killAt(world: World, place: Failpoint | 'random'): Promise<void> {
  const { random } = world;
  const first = await world.boot();
  let target = first;
  const load = world.load(() => target);
  await moreAcknowledged(world, 20);
  await sendGarbage(first, random);
  if (place === 'random') {
    const at = performance.now() + random.between(0, MAX_RANDOM_MS);
    await until('the moment', () => performance.now() >= at);
    await first.kill();
  } else {
    await first.killAt(place, random.between(1, 10));
    await until(`${place} was passed`, () => first.child.signalCode !== null, REACHED_WITHIN_MS);
  }
  await first.exited;
  target = await world.boot();
  await moreAcknowledged(world, 15, 'a load on the instance that took over');
  await load.stop();
  await world.recovered(target);
  await load.settle();
}
