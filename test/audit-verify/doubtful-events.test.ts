import t from 'tap';

import { DoubtfulEvents } from '../../src/audit/verify/doubtful-events.ts';
import fc from '../support/fast-check.ts';

const MAX_RUNS = 4;
const step = fc.oneof(
  fc.record({ add: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ remove: fc.integer({ min: 1, max: 60 }) }),
);

t.test('it holds what a plain list holds, but for an end that begins past what it keeps', async () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const events = new DoubtfulEvents(MAX_RUNS);
      let plain: number[] = [];
      for (const one of steps) {
        if ('add' in one) {
          plain.push(events.last + one.add);
          events.add(events.last + one.add);
        } else {
          const known = firstPast(plain);
          const removed = events.removeFrom(one.remove);
          const expected = one.remove > known ? [] : plain.filter((seq) => seq >= one.remove);
          if (removed !== expected.length) throw new Error(`${removed} were removed, not ${expected.length}`);
          plain = plain.filter((seq) => !expected.includes(seq));
        }
        const { runs, rest } = events.left;
        const named = runs.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, n) => from + n));
        if (named.join() !== plain.slice(0, plain.length - rest).join()) throw new Error(`${named} of ${plain}`);
        if (runs.length > MAX_RUNS || events.isEmpty !== (plain.length === 0)) throw new Error('more, or none');
        for (const seq of named) if (!events.has(seq)) throw new Error(`${seq} is not there`);
        if (events.has(0) || events.has(events.last + 1)) throw new Error('more than was added');
      }
    }),
  );
});

/** The first event past the runs that are kept. */
function firstPast(plain: readonly number[]): number {
  const starts = plain.filter((seq, index) => index === 0 || plain[index - 1] !== seq - 1);
  return starts[MAX_RUNS] ?? Number.POSITIVE_INFINITY;
}
