import { setTimeout as delay } from 'node:timers/promises';

import { exitWithin } from '../../support/process.ts';
import { moreAcknowledged } from '../support/conduct.ts';
import type { Instance } from '../support/launch.ts';
import type { Scenario } from '../support/run.ts';

/** ms; security.md: SIGTERM under load ends in less. */
const DRAINED_WITHIN_MS = 25_000;
const ENDED_WITHIN_MS = 5000;

export const SIGNAL_SCENARIOS: readonly Scenario[] = [
  {
    name: 'sigterm',
    why: 'SIGTERM under load: every answer that was given counts, and the end is orderly',
    runs: 10,
    run: async (world) => {
      const first = await world.boot();
      let target = first;
      const load = world.load(() => target);
      await moreAcknowledged(world, 20);
      first.expectEnd();
      first.child.kill('SIGTERM');
      await requireExit(first, DRAINED_WITHIN_MS, [0]);
      target = await world.boot();
      await moreAcknowledged(world, 10);
      await load.stop();
      await world.recovered(target);
      await load.settle();
    },
  },
  {
    name: 'sigterm-twice',
    why: 'a second SIGTERM ends it at once; nothing is half done',
    runs: 10,
    run: async (world) => {
      const first = await world.boot();
      let target = first;
      const load = world.load(() => target);
      await moreAcknowledged(world, 20);
      first.expectEnd();
      first.child.kill('SIGTERM');
      await delay(world.random.between(0, 200));
      first.child.kill('SIGTERM');
      // 0 when it had drained before the second one came.
      await requireExit(first, ENDED_WITHIN_MS, [0, 1]);
      target = await world.boot();
      await moreAcknowledged(world, 10);
      await load.stop();
      await world.recovered(target);
      await load.settle();
    },
  },
];

export async function requireExit(instance: Instance, withinMs: number, codes: readonly number[]): Promise<void> {
  const { child, exited, log } = instance;
  const exit = await exitWithin({ child, pid: child.pid ?? 0, stdout: log, stderr: log, exited }, withinMs);
  if (exit.code === null || !codes.includes(exit.code)) {
    throw new Error(`${instance.name} ended with ${exit.signal ?? exit.code}: ${log().slice(-2000)}`);
  }
}
