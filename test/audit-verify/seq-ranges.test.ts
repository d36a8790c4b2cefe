import t from 'tap';
import { Positions } from '../../src/audit/verify/positions.ts';
import { joined, type SeqRange, SeqRanges, without } from '../../src/audit/verify/seq-ranges.ts';
import fc from '../support/fast-check.ts';

const LIMIT = 60;
const seq = fc.integer({ min: 1, max: LIMIT });
const cut = fc.tuple(seq, seq).map(([a, b]): SeqRange => [Math.min(a, b), Math.max(a, b)]);
const steps = fc.array(fc.record({ skip: fc.integer({ min: 0, max: 3 }), length: fc.integer({ min: 1, max: 5 }) }), {
  maxLength: 12,
});

t.test('ranges hold what a plain set holds, in order and apart', async () => {
  fc.assert(
    fc.property(steps, fc.array(cut, { maxLength: 12 }), (added, removed) => {
      const { ranges, plain } = filled(added);
      for (const [from, to] of removed) {
        ranges.remove(from, to);
        for (let one = from; one <= to; one += 1) plain.delete(one);
        expand(ranges.ranges, plain);
      }
      for (let one = 0; one <= LIMIT + 40; one += 1) if (ranges.has(one) !== plain.has(one)) throw new Error(`${one}`);
    }),
  );
});

t.test('ranges joined with points and without others are what sets make of them', async () => {
  fc.assert(
    fc.property(steps, fc.array(seq), fc.array(seq), (added, more, less) => {
      const { ranges, plain } = filled(added);
      const union = new Set([...plain, ...more]);
      expand(joined(ranges.ranges, more), union);
      for (const one of less) union.delete(one);
      expand(without(joined(ranges.ranges, more), less), union);
    }),
  );
});

t.test('cutting one range into many pieces does not grow without bound', async (t) => {
  const ranges = new SeqRanges();
  ranges.add(1, 1_000_000);
  for (let one = 2; one < 100_000; one += 2) ranges.remove(one, one);
  t.equal(ranges.ranges.length, 10_000);
  t.ok(ranges.dropped);
});

t.test('a log full of holes and displaced rows is sorted out in little time', { timeout: 20_000 }, async (t) => {
  const positions = new Positions();
  let at = 1;
  for (let hole = 0; hole < 10_000; hole += 1) {
    positions.hole(at, at);
    positions.filled(at + 1);
    at += 2;
  }
  for (let row = 0; row < 300_000; row += 1) positions.displaced(at + row, 1e12 + row * 3);
  for (let late = 1; late < 10_000; late += 4) if (!positions.late(late)) t.fail(`${late} was empty`);
  const found = positions.finish();
  t.equal(found.filter((finding) => finding.class === 'gap').length, 7_501);
  t.equal(found.filter((finding) => finding.class === 'projection-edited').length, 100_000);
  t.equal(found.filter((finding) => finding.class === 'reordered').length, 100_000);
});

function filled(added: readonly { skip: number; length: number }[]): { ranges: SeqRanges; plain: Set<number> } {
  const ranges = new SeqRanges();
  const plain = new Set<number>();
  let next = 1;
  for (const { skip, length } of added) {
    ranges.add(next + skip, next + skip + length - 1);
    for (let one = 0; one < length; one += 1) plain.add(next + skip + one);
    next += skip + length;
  }
  return { ranges, plain };
}

/** Throws unless the ranges ascend, do not overlap, and hold exactly `plain`. */
function expand(ranges: readonly SeqRange[], plain: ReadonlySet<number>): void {
  let count = 0;
  let last = 0;
  for (const [from, to] of ranges) {
    if (from <= last || to < from) throw new Error(`out of order: ${JSON.stringify(ranges)}`);
    for (let one = from; one <= to; one += 1) if (!plain.has(one)) throw new Error(`${one} should not be there`);
    count += to - from + 1;
    last = to;
  }
  if (count !== plain.size) throw new Error(`${plain.size - count} are not there`);
}
