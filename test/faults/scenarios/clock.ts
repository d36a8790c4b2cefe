import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { until } from '../../support/process.ts';
import { moreAcknowledged, requireAlive } from '../support/conduct.ts';
import type { Instance } from '../support/launch.ts';
import type { FaultScenario } from '../support/run.ts';
import { Skipped } from '../support/skipped.ts';
import type { World } from '../support/world.ts';

const LIBFAKETIME = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/faketime/libfaketime.so.1',
];
const HOUR_S = 3600;
/** Below the day that a sandbox agent lives: an agent that expires is another story. */
const MAX_HOURS = 10;
const JUMPS = 2;
/** Far beyond what replicas may differ. */
const MIN_S = 60;

export const CLOCK_SCENARIOS: readonly FaultScenario[] = [
  {
    name: 'clock-injected',
    why: "the service's own clock jumps forwards and backwards",
    runs: 5,
    fault: ({ world, instance }) => jumping(world, instance, (seconds) => instance.moveClock(seconds * 1000)),
  },
  {
    name: 'clock-faketime',
    why: 'the clock of the whole process jumps (libfaketime)',
    runs: 5,
    fault: async ({ world, next }) => {
      const library = LIBFAKETIME.find((path) => existsSync(path));
      if (library === undefined) throw new Skipped('libfaketime is not installed (Debian: faketime)');
      const dir = await mkdtemp(join(tmpdir(), 'castellan-faults-clock-'));
      try {
        const file = join(dir, 'offset');
        const set = (seconds: number) => writeFile(file, `${seconds < 0 ? '' : '+'}${seconds}\n`);
        await set(0);
        // Monotonic time goes on, as it does when an operator or NTP sets the clock.
        const env = {
          LD_PRELOAD: library,
          FAKETIME_TIMESTAMP_FILE: file,
          FAKETIME_NO_CACHE: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
          DONT_FAKE_MONOTONIC: '1',
        };
        await jumping(world, await next({ env }), set);
        // The file goes, and with it the time of this instance.
        await next();
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
  },
];

async function jumping(world: World, instance: Instance, set: (seconds: number) => Promise<void>): Promise<void> {
  for (let jump = 0; jump < JUMPS; jump += 1) {
    // Ahead of the truth, and from there forwards and back: before their time no certificate is good.
    await set(world.random.between(MIN_S, MAX_HOURS * HOUR_S));
    await requireAlive(instance);
    await until("not ready, for its clock is not the database's", async () => (await readiness(instance)) === 503);
    await moreAcknowledged(world, 8, 'a load after the clock jumped');
  }
  await set(0);
  await world.recovered(instance);
}

async function readiness({ opsUrl }: Instance): Promise<number> {
  const answer = await fetch(`${opsUrl}/readyz`);
  await answer.text();
  return answer.status;
}
