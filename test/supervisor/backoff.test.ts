import fc from 'fast-check';
import t from 'tap';

import { createBackoff, RESTARTS } from '../../src/supervisor/backoff.ts';

const middle = () => 0.5;

t.test('each end in a row waits twice as long, and the last is given up', async (t) => {
  const backoff = createBackoff(RESTARTS, middle);
  const waits = Array.from({ length: RESTARTS.attempts }, () => backoff.ended(100));
  t.same(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, undefined]);
});

t.test('a process that ran for long enough is the first again', async (t) => {
  const backoff = createBackoff(RESTARTS, middle);
  for (let turn = 1; turn < RESTARTS.attempts; turn += 1) backoff.ended(10);
  t.equal(backoff.ended(RESTARTS.healthyMs), 500);
  t.equal(backoff.failures, 1);
});

t.test('what could not be tried is waited for, and never given up', async (t) => {
  const backoff = createBackoff(RESTARTS, middle);
  const waits = Array.from({ length: 100 }, () => backoff.postponed());
  t.same(waits.slice(0, 3), [500, 1000, 2000]);
  t.equal(waits.at(-1), RESTARTS.maxMs);
  t.equal(backoff.ended(1), 500);
});

t.test('a wait is near what it is said to be', async () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 1, max: 7 }), (random, count) => {
      const backoff = createBackoff(RESTARTS, () => random);
      const waits = Array.from({ length: count }, () => backoff.ended(0));
      const full = RESTARTS.firstMs * 2 ** (count - 1);
      const last = waits.at(-1) ?? Number.NaN;
      return last >= full * 0.8 - 1 && last <= full * 1.2 + 1;
    }),
  );
});
