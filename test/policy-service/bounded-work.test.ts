import t from 'tap';

import { atMost, within } from '../../src/policy/bounded-work.ts';

t.test('no more than that many at a time, in order, and a failure gives its place back', async (t) => {
  const inTurn = atMost(2);
  const order: number[] = [];
  const ends: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const works = Array.from({ length: 5 }, (_, n) =>
    inTurn(() => {
      order.push(n);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      ends.push({ resolve, reject });
      return promise;
    }),
  );
  const outcomes = Promise.allSettled(works);
  t.same(order, [0, 1]);
  ends[1]?.reject(new Error('no'));
  await t.rejects(works[1] ?? Promise.resolve(), { message: 'no' });
  t.same(order, [0, 1, 2]);
  for (let n = 0; n < works.length; n += 1) {
    ends[n]?.resolve();
    await works[n]?.catch(() => undefined);
  }
  t.same(order, [0, 1, 2, 3, 4]);
  t.same(
    (await outcomes).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  );
  t.equal(await inTurn(async () => 'free again'), 'free again');
});

t.test('what takes too long is unavailable', async (t) => {
  const { promise: never } = Promise.withResolvers<void>();
  await t.rejects(within(10, never), { code: 'POLICY_UNAVAILABLE' });
  t.equal(await within(10_000, Promise.resolve(1)), 1);
  await t.rejects(within(10_000, Promise.reject(new Error('its own'))), { message: 'its own' });
});
