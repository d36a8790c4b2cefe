import { until } from '../../support/process.ts';
import type { Instance } from './launch.ts';
import type { World } from './world.ts';

/** ms */
const LOAD_WITHIN_MS = 30_000;

/** Waits until so many more calls were acknowledged. */
export async function moreAcknowledged(world: World, count: number, what = 'a load'): Promise<void> {
  const sofar = world.history.acknowledged;
  await until(what, () => world.history.acknowledged >= sofar + count, LOAD_WITHIN_MS);
}

/** Waits until so many more calls came to nothing: an answer of 5xx, or none. */
export async function moreFailed(world: World, count: number, what = 'calls that fail'): Promise<void> {
  const failed = () =>
    world.history.calls.filter(({ outcome }) => outcome.kind === 'unknown' || outcome.status >= 500).length;
  const sofar = failed();
  await until(what, () => failed() >= sofar + count, LOAD_WITHIN_MS);
}

/** Alive and telling, whatever else is away: it must never need the database for that. */
export async function requireAlive(instance: Instance): Promise<void> {
  for (const path of ['/livez', '/metrics']) {
    const answer = await fetch(`${instance.opsUrl}${path}`, { signal: AbortSignal.timeout(2000) });
    if (answer.status !== 200) throw new Error(`${path} says ${answer.status} during the fault`);
    await answer.text();
  }
}
