import t from 'tap';
import { TokenBuckets } from '../../src/limits/token-buckets.ts';
import fc from '../support/fast-check.ts';

/** How many of `wanted` requests at one moment get a token. */
function taken(buckets: TokenBuckets, key: string, now: number, wanted: number): number {
  return Array.from({ length: wanted }, () => buckets.take(key, now)).filter((waitMs) => waitMs === 0).length;
}

t.test('a burst, then the rate', async (t) => {
  const buckets = new TokenBuckets({ rate: 10, burst: 5 });
  t.equal(taken(buckets, 'a', 0, 20), 5);
  t.equal(taken(buckets, 'a', 99, 20), 0);
  t.equal(taken(buckets, 'a', 100, 20), 1);
  t.equal(taken(buckets, 'a', 1100, 20), 5, 'no more than the burst is saved up');
  t.equal(taken(buckets, 'b', 1100, 20), 5, 'each key has its own');
});

t.test('the wait it names is when there is a token, and not before', async (t) => {
  const buckets = new TokenBuckets({ rate: 4, burst: 1 });
  t.equal(buckets.take('a', 0), 0);
  const waitMs = buckets.take('a', 100);
  t.equal(waitMs, 150);
  t.not(buckets.take('a', 100 + waitMs - 1), 0);
  t.equal(buckets.take('a', 100 + waitMs), 0);
});

t.test('clocks that do not behave', async (t) => {
  const buckets = new TokenBuckets({ rate: 10, burst: 2 });
  t.equal(taken(buckets, 'back', 1_000_000, 5), 2);
  t.equal(taken(buckets, 'back', 0, 5), 0, 'going back gives nothing');
  t.equal(taken(buckets, 'back', 200, 5), 2, 'and counts from there');
  t.equal(taken(buckets, 'NaN', Number.NaN, 5), 2);
  t.equal(taken(buckets, 'NaN', 1000, 5), 2, 'NaN does not stay');
  t.equal(taken(buckets, 'far', 0, 5), 2);
  t.equal(taken(buckets, 'far', Number.POSITIVE_INFINITY, 5), 0, 'for ever is no time');
  t.equal(taken(buckets, 'far', Number.MAX_SAFE_INTEGER, 5), 2, 'never more than the burst');
  t.equal(taken(buckets, 'far', Number.MAX_SAFE_INTEGER, 5), 0);
});

t.test('a flood of keys takes no memory and frees nobody from its limit', async (t) => {
  const buckets = new TokenBuckets({ rate: 1, burst: 3, maxKeys: 100 });
  t.equal(taken(buckets, 'noisy', 0, 10), 3);
  for (let index = 0; index < 10_000; index += 1) {
    buckets.take(`key ${index}`, 0);
    // A key that is in use stays, however many come by.
    if (index % 20 === 0) t.not(buckets.take('noisy', 0), 0);
  }
  t.ok(buckets.size <= 100, `${buckets.size} keys`);
  const few = new TokenBuckets({ rate: 1, burst: 1, maxKeys: 4 });
  for (const key of ['a', 'b', 'c', 'a', 'b', 'c']) few.take(key, 0);
  t.equal(few.size, 3, 'each key once');
});

t.test('never more than burst + rate × time, whatever the clock does', async () => {
  const steps = fc.array(fc.oneof(fc.integer({ min: -5000, max: 5000 }), fc.constant(Number.NaN)), { maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 50 }), steps, (rate, burst, moves) => {
      const buckets = new TokenBuckets({ rate, burst });
      let [now, forward, passed] = [0, 0, 0];
      for (const move of moves) {
        if (move > 0) forward += move;
        if (!Number.isNaN(move)) now += move;
        const waitMs = buckets.take('a', Number.isNaN(move) ? Number.NaN : now);
        if (!(waitMs >= 0)) return false;
        if (waitMs === 0) passed += 1;
      }
      return passed <= burst + (forward * rate) / 1000 + 1e-6;
    }),
  );
});

t.test('a ceiling of its own counts where it is the lower one', async (t) => {
  const buckets = new TokenBuckets({ rate: 10, burst: 4 });
  const own = { rate: 1, burst: 2 };
  const taken = (now: number, ceiling?: { rate: number; burst: number }) =>
    Array.from({ length: 20 }, () => buckets.take('a', now, ceiling)).filter((waitMs) => waitMs === 0).length;
  t.equal(taken(0, own), 2);
  t.equal(buckets.take('a', 0, own), 1000);
  t.equal(taken(1000, own), 1);
  t.equal(taken(11_000, own), 2, 'no more than its own burst');
  t.equal(taken(21_000), 4);
  t.equal(taken(31_000, { rate: 100, burst: 1 }), 1);
  t.equal(taken(31_100, { rate: 100, burst: 100 }), 1, 'never faster than the general rate');
});
