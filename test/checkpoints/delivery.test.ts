import t from 'tap';

import { createDelivery } from '../../src/checkpoints/delivery.ts';
import type { Sink } from '../../src/checkpoints/sinks/sink.ts';
import type { StoredNote } from '../../src/checkpoints/store.ts';

const note = (size: number): StoredNote => ({ size, createdAt: new Date(0), note: '', signerId: 'x' });

/** Deliveries with time in the test's hand: each wait lasts until it is let go. */
function world(...sinks: Sink[]) {
  const seen: string[] = [];
  const waits: number[] = [];
  const held: (() => void)[] = [];
  const asked: (() => void)[] = [];
  const delivery = createDelivery({
    sinks,
    random: () => 1,
    observe: {
      delivered: (sink, size) => seen.push(`${sink} ${size}`),
      failed: (sink) => seen.push(`${sink} failed`),
    },
    wait: (ms, signal) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      waits.push(ms);
      held.push(resolve);
      signal.addEventListener('abort', () => resolve());
      asked.shift()?.();
      return promise;
    },
  });
  const waiting = async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (held.length > 0) return;
    asked.push(resolve);
    await promise;
  };
  return { delivery, seen, waits, waiting, letGo: () => held.shift()?.() };
}

t.test('a sink that fails is tried again, ever later, with the newest; the others do not notice', async (t) => {
  let failures = 12;
  const broken: Sink = {
    name: 'broken',
    deliver: async () => {
      failures -= 1;
      if (failures >= 0) throw new Error('away');
    },
  };
  const { delivery, seen, waits, waiting, letGo } = world(broken, { name: 'sound', deliver: async () => undefined });
  delivery.offer(note(1));
  await waiting();
  t.strictSame(seen.toSorted(), ['broken failed', 'sound 1']);
  delivery.offer(note(2));
  delivery.offer(note(3));
  for (let n = 0; n < 12; n += 1) {
    await waiting();
    letGo();
  }
  await delivery.settled();
  t.equal(seen.at(-1), 'broken 3');
  t.strictSame(waits.slice(0, 4), [1000, 2000, 4000, 8000]);
  t.strictSame(waits.slice(-2), [300_000, 300_000], 'five minutes at most');
  t.notOk(seen.includes('broken 1') || seen.includes('broken 2'));
  t.ok(seen.includes('sound 3'));
});

t.test('one note at a time to each sink', async (t) => {
  const first = Promise.withResolvers<void>();
  const got: number[] = [];
  const slow: Sink = {
    name: 'slow',
    deliver: async ({ size }) => {
      got.push(size);
      await first.promise;
    },
  };
  const { delivery } = world(slow);
  for (const size of [1, 2, 3]) delivery.offer(note(size));
  t.strictSame(got, [1]);
  first.resolve();
  await delivery.settled();
  t.strictSame(got, [1, 3]);
});

t.test('closing gives up what is under way and what waits', async (t) => {
  const hangs: Sink = {
    name: 'hangs',
    deliver: (_note, signal) => {
      const { promise, reject } = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => reject(signal.reason));
      return promise;
    },
  };
  const fails: Sink = { name: 'fails', deliver: () => Promise.reject(new Error('away')) };
  const { delivery, seen, waiting } = world(hangs, fails);
  delivery.offer(note(1));
  await waiting();
  await delivery.close();
  delivery.offer(note(2));
  await delivery.settled();
  t.strictSame(seen, ['fails failed']);
});
