import t, { type Test } from 'tap';
import { createSigningQuota, type QuotaTime, type Workload } from '../../../src/signers/drivers/signing-quota.ts';
import fc from '../../support/fast-check.ts';

const never = new AbortController().signal;

/** Time that stands still until it is moved. */
function handTime() {
  let now = 0;
  let alarm: { at: number; work: () => void } | undefined;
  const time: QuotaTime = {
    now: () => now,
    wake(ms, work) {
      alarm = { at: now + ms, work };
    },
  };
  /** Moves on, waking whoever is due on the way. */
  async function pass(ms: number): Promise<void> {
    await settled();
    const end = now + ms;
    while (alarm !== undefined && alarm.at <= end) {
      const { at, work } = alarm;
      alarm = undefined;
      now = Math.max(now, at);
      work();
      await settled();
    }
    now = end;
    await settled();
  }
  return { time, pass, now: () => now };
}

/** Every promise that can settle now has done so. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Give or take one: the tokens are fractions, and a timer knows whole ms only. */
function about(t: Test, found: number, wanted: number, why?: string): void {
  t.ok(Math.abs(found - wanted) <= 1, `${found}, about ${wanted}${why === undefined ? '' : `: ${why}`}`);
}

/** A quota and a list of who was let through, with the time. */
function watched(perSecond: number) {
  const { time, pass, now } = handTime();
  const quota = createSigningQuota({ perSecond, time });
  const passed: { workload: Workload; name: number; at: number }[] = [];
  const refused: unknown[] = [];
  let names = 0;
  function ask(workload: Workload, count: number, signal = never): void {
    for (let i = 0; i < count; i += 1) {
      const name = names++;
      quota.take(workload, signal).then(
        () => passed.push({ workload, name, at: now() }),
        (error: unknown) => refused.push(error),
      );
    }
  }
  const countOf = (workload: Workload) => passed.filter((one) => one.workload === workload).length;
  return { ask, pass, passed, refused, countOf };
}

t.test('a fifth at once, then four fifths a second', async (t) => {
  const { ask, pass, passed } = watched(1000);
  ask('foreground', 1500);
  await pass(0);
  t.equal(passed.length, 200);
  await pass(500);
  about(t, passed.length, 600);
  await pass(500);
  about(t, passed.length, 1000);
  await pass(10_000);
  t.equal(passed.length, 1500);
  t.strictSame(
    passed.map(({ name }) => name),
    Array.from({ length: 1500 }, (_, i) => i),
    'in order of arrival',
  );
});

t.test('what is saved up does not grow', async (t) => {
  const { ask, pass, passed } = watched(1000);
  await pass(3_600_000);
  ask('foreground', 1000);
  await pass(0);
  t.equal(passed.length, 200);
});

t.test('background gets half, the foreground keeps the other', async (t) => {
  const { ask, pass, countOf } = watched(1000);
  ask('background', 700);
  await pass(0);
  about(t, countOf('background'), 100);
  await pass(1000);
  about(t, countOf('background'), 500, 'half, with nobody else there');

  ask('foreground', 1);
  await pass(0);
  t.equal(countOf('foreground'), 1, 'does not wait behind it');
  ask('foreground', 1000);
  await pass(0);
  const before = countOf('foreground');
  await pass(400);
  t.ok(countOf('foreground') - before >= 160, 'half of 400 ms at least');
  t.ok(countOf('background') <= 660);
});

t.test('who would wait longer than a signature may take is refused at once', async (t) => {
  const { ask, pass, passed, refused } = watched(100);
  ask('foreground', 20 + 160 + 5);
  await pass(0);
  t.equal(passed.length, 20);
  t.equal(refused.length, 5);
  t.match(refused[0], { code: 'SIGNER_UNAVAILABLE' });
  await pass(2000);
  about(t, passed.length, 180);
});

t.test('who gives up leaves its place to the next', async (t) => {
  const { ask, pass, passed, refused } = watched(100);
  const controller = new AbortController();
  ask('foreground', 20);
  ask('foreground', 100, controller.signal);
  ask('foreground', 1);
  await pass(0);
  controller.abort(new Error('the caller has gone'));
  await pass(30);
  t.equal(refused.length, 100);
  t.match(refused[0], { code: 'SIGNER_UNAVAILABLE', cause: { message: 'the caller has gone' } });
  t.equal(passed.at(-1)?.name, 120, 'none of its tokens are lost');
  ask('foreground', 1, controller.signal);
  await pass(100);
  t.equal(refused.length, 101, 'nor does it come in again');
});

t.test('a quota of one a second works; of none there is not', async (t) => {
  const { ask, pass, passed } = watched(1);
  ask('background', 1);
  ask('foreground', 1);
  await pass(0);
  t.equal(passed.length, 1);
  await pass(1251);
  t.equal(passed.length, 2);
  for (const perSecond of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => createSigningQuota({ perSecond }), RangeError);
  }
});

t.test('no second sees more than the quota, whoever asks when', async (t) => {
  const arrivals = fc.array(
    fc.record({
      ms: fc.integer({ min: 0, max: 700 }),
      count: fc.integer({ min: 1, max: 60 }),
      isBackground: fc.boolean(),
    }),
    { minLength: 5, maxLength: 40 },
  );
  const property = fc.asyncProperty(fc.integer({ min: 10, max: 100 }), arrivals, async (perSecond, plan) => {
    const { ask, pass, passed, refused } = watched(perSecond);
    for (const { ms, count, isBackground } of plan) {
      await pass(ms);
      ask(isBackground ? 'background' : 'foreground', count);
    }
    await pass(10_000);
    const all = plan.reduce((sum, { count }) => sum + count, 0);
    if (passed.length + refused.length !== all) return false;
    return (
      busiestSecond(passed.map(({ at }) => at)) <= perSecond &&
      busiestSecond(passed.filter(({ workload }) => workload === 'background').map(({ at }) => at)) <= perSecond / 2
    );
  });
  await fc.assert(property, { numRuns: 200 });
  t.pass();
});

/** The most of these times (ms, rising) that lie within less than one second. */
function busiestSecond(times: readonly number[]): number {
  let [from, most] = [0, 0];
  for (const [to, at] of times.entries()) {
    while (at - (times[from] ?? 0) >= 1000 - 1e-6) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
}
