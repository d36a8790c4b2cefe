import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import t from 'tap';

import { isolationTest } from '../../support/isolation.ts';
import { watchLeftovers } from '../../support/leftovers.ts';
import { start, until } from '../../support/process.ts';
import { isolationParts } from './support.ts';

isolationTest(t);

// Below one directory: also what a killed service cannot take away any more.
const dir = await mkdtemp(join(tmpdir(), 'c-killed-'));
await chmod(dir, 0o711);
const stateDir = join(dir, 's');
t.teardown(() => rm(dir, { recursive: true }));
const LAUNCHING = fileURLToPath(new URL('fixtures/launching.ts', import.meta.url));
/** ms from the first launch: while chains begin, each at another step, and when all run. */
const MOMENTS = [0, 15, 25, 35, 45, 60, 90, 800];

t.test('kill -9 of the service ends what it runs within a second, whatever had begun', async (t) => {
  for (const ms of MOMENTS) {
    const marker = randomUUID();
    const service = start(t, [LAUNCHING, marker, stateDir], { TMPDIR: dir });
    await until('it launches', () => service.stdout().includes('ready'));
    await delay(ms);
    service.child.kill('SIGKILL');
    await service.exited;
    const at = performance.now();
    await until(`nothing of ${ms} ms is left`, () => living(marker).length === 0, 5000);
    t.ok(performance.now() - at < 1000, `${ms} ms: ${Math.round(performance.now() - at)} ms`);
  }
});

t.test('what it leaves besides is taken away by the next in its place', async (t) => {
  watchLeftovers(t, { stateDir });
  const { places } = await isolationParts(t, { stateDir });
  await places.prepare();
  t.same(
    readdirSync(stateDir).filter((name) => name !== 'slots' && !name.includes(`-${process.pid}-`)),
    [],
  );
  t.same(readdirSync(join(stateDir, 'slots')), []);
});

function living(marker: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(marker);
      } catch {
        // Ended while we looked.
        return false;
      }
    });
}
