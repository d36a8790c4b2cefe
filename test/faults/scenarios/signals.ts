import { setTimeout as delay } from 'node:timers/promises';

import { exitWithin } from '../../support/process.ts';
import type { Instance } from '../support/launch.ts';
import type { FaultScenario } from '../support/run.ts';

/** ms; security.md: SIGTERM under load ends in less. */
const DRAINED_WITHIN_MS = 25_000;
const ENDED_WITHIN_MS = 5000;

export const SIGNAL_SCENARIOS: readonly FaultScenario[] = [
  {
    name: 'sigterm',
    why: 'SIGTERM under load: every answer that was given counts, and the end is orderly',
    runs: 10,
    fault: async ({ instance, next }) => {
      instance.expectEnd();
      instance.child.kill('SIGTERM');
      await requireExit(instance, DRAINED_WITHIN_MS, [0]);
      await next();
    },
  },
  {
    name: 'sigterm-twice',
    why: 'a second SIGTERM ends it at once; nothing is half done',
    runs: 10,
    fault: async ({ world, instance, next }) => {
      instance.expectEnd();
      instance.child.kill('SIGTERM');
      await delay(world.random.between(0, 200));
      instance.child.kill('SIGTERM');
      // 0 when it had drained before the second one came; by the signal itself when Node was giving up its handlers.
      await requireExit(instance, ENDED_WITHIN_MS, [0, 1, 'SIGTERM']);
      await next();
    },
  },
];

export async function requireExit(
  instance: Instance,
  withinMs: number,
  ends: readonly (number | NodeJS.Signals)[],
): Promise<void> {
  const { child, exited, log } = instance;
  const exit = await exitWithin({ child, pid: child.pid ?? 0, stdout: log, stderr: log, exited }, withinMs);
  const end = exit.code ?? exit.signal;
  if (end === null || !ends.includes(end)) {
    throw new Error(`${instance.name} ended with ${end}: ${log().slice(-2000)}`);
  }
}
