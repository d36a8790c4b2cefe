import t from 'tap';

import { Pressure } from '../../src/limits/pressure.ts';

const LATE = 500;

function fresh() {
  const pressure = new Pressure({ maxDelayMs: 200, random: () => 0.5 });
  const sample = (delayMs: number, times: number) => {
    for (let index = 0; index < times; index += 1) pressure.sample(delayMs);
  };
  /** How many of `wanted` requests of a key pass in the present window. */
  const passed = (lane: 'read' | 'write' | 'brake', key: string, wanted: number) =>
    Array.from({ length: wanted }, () => pressure.refuses(lane, key)).filter((refused) => !refused).length;
  return { pressure, sample, passed };
}

t.test('one long pause refuses nobody', async (t) => {
  const { pressure, sample } = fresh();
  sample(5000, 2);
  t.equal(pressure.level, 0);
  sample(150, 1);
  sample(5000, 2);
  t.equal(pressure.level, 0);
  sample(5000, 1);
  t.ok(pressure.level > 0);
});

t.test('it rises while the loop is late, stays in between, and falls by itself', async (t) => {
  const { pressure, sample } = fresh();
  sample(LATE, 100);
  t.equal(pressure.level, 0.95);
  sample(150, 100);
  t.equal(pressure.level, 0.95, 'between half the bound and the bound nothing changes');
  // 10 s are 40 samples.
  sample(20, 16);
  t.equal(pressure.level, 0, 'over in 4 s');
});

t.test('reads go first, then writes, brakes never', async (t) => {
  const { sample, passed } = fresh();
  sample(LATE, 4);
  passed('read', 'a', 1000);
  passed('write', 'a', 1000);
  sample(150, 1);
  const reads = passed('read', 'a', 1000);
  t.ok(reads < 500, `${reads} of 1000 reads`);
  t.equal(passed('write', 'a', 1000), 1000);
  sample(LATE, 100);
  passed('read', 'a', 1000);
  passed('write', 'a', 1000);
  sample(150, 1);
  for (const lane of ['read', 'write'] as const) {
    const few = passed(lane, 'a', 1000);
    t.ok(few > 0 && few <= 100, `${few} of 1000 ${lane}s`);
  }
  t.equal(passed('brake', 'a', 1000), 1000);
});

t.test('who asks for less than an equal part is not refused', async (t) => {
  const { sample, passed } = fresh();
  sample(LATE, 6);
  passed('read', 'noisy', 10_000);
  passed('read', 'quiet', 20);
  sample(LATE, 1);
  t.ok(passed('read', 'noisy', 10_000) < 1000);
  t.equal(passed('read', 'quiet', 20), 20);
});
