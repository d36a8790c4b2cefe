import type { Failpoint } from '../../../src/failpoints.ts';
import { until } from '../../support/process.ts';
import { sendGarbage } from '../support/garbage.ts';
import type { FaultScenario } from '../support/run.ts';
import type { Stage } from '../support/stage.ts';

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

export const KILL_SCENARIOS: readonly FaultScenario[] = Object.entries(PLACES).map(([name, place]) => ({
  name,
  why: `SIGKILL under load, ${place === 'random' ? 'at a random moment' : `at ${place}`}; another process takes over`,
  runs: 24,
  fault: (stage) => killAt(stage, place),
}));

async function killAt({ world, instance, next }: Stage, place: Failpoint | 'random'): Promise<void> {
  const { random } = world;
  await sendGarbage(instance, random);
  if (place === 'random') {
    const at = performance.now() + random.between(0, MAX_RANDOM_MS);
    await until('the moment', () => performance.now() >= at);
    await instance.kill();
  } else {
    await instance.killAt(place, random.between(1, 10));
    await until(`${place} was passed`, () => instance.child.signalCode !== null, REACHED_WITHIN_MS);
  }
  await instance.exited;
  await next();
}
