import t from 'tap';
import {
  decodeRange,
  emptyRange,
  encodeRange,
  extendRange,
  mergeRanges,
  rootOf,
} from '../../src/transparency/compact-range.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import fc from '../support/fast-check.ts';
import { entriesOf, mth } from './support/reference.ts';

const MAX = 2_000;
const ENTRIES = entriesOf(MAX);
const LEAVES = ENTRIES.map(leafHash);

t.test('the root, however the leaves came', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 400 }), { maxLength: 6 }), (counts) => {
      let range = emptyRange();
      for (const count of counts) {
        // As it lies in a row between two appends.
        range = decodeRange(encodeRange(extendRange(range, LEAVES.slice(range.end, range.end + count))));
      }
      return rootOf(range).equals(mth(ENTRIES.slice(0, range.end)));
    }),
    { numRuns: 100 },
  );
});

t.test('neighbours merge into what they would have been', async () => {
  const cuts = fc.tuple(fc.nat({ max: MAX }), fc.nat({ max: MAX }), fc.nat({ max: MAX }));
  fc.assert(
    fc.property(cuts, (unordered) => {
      const [a = 0, b = 0, c = 0] = unordered.toSorted((x, y) => x - y);
      const ranges = [part(0, a), part(a, b), part(b, c)] as const;
      const leftFirst = mergeRanges(mergeRanges(ranges[0], ranges[1]), ranges[2]);
      const rightFirst = mergeRanges(ranges[0], mergeRanges(ranges[1], ranges[2]));
      const whole = encodeRange(part(0, c));
      return encodeRange(leftFirst).equals(whole) && encodeRange(rightFirst).equals(whole);
    }),
    { numRuns: 100 },
  );
});

t.test('a range is not changed by what is done with it', async (t) => {
  const range = part(0, 7);
  const before = encodeRange(range);
  extendRange(range, LEAVES.slice(7, 30));
  mergeRanges(range, part(7, 9));
  t.same(encodeRange(range), before);
});

t.test('every complete subtree is told of once, children first', async (t) => {
  const seen: string[] = [];
  const visit = (level: number, index: number) => seen.push(`${level}/${index}`);
  extendRange(extendRange(emptyRange(), LEAVES.slice(0, 3), visit), LEAVES.slice(3, 5), visit);
  t.same(seen, ['0/0', '0/1', '1/0', '0/2', '0/3', '1/1', '2/0', '0/4']);
});

t.test('n leaves cost about n hashes', async (t) => {
  let nodes = 0;
  extendRange(part(0, 1_023), LEAVES.slice(0, 900), (level) => {
    if (level > 0) nodes += 1;
  });
  t.ok(nodes <= 900 + 11, `${nodes}`);
});

t.test('refuses what is no range', async (t) => {
  const good = encodeRange(part(0, 5));
  const tooLarge = Buffer.from(good);
  tooLarge.writeBigUInt64BE(2n ** 63n);
  const refused: Record<string, Buffer> = {
    nothing: Buffer.alloc(0),
    'half a size': good.subarray(0, 7),
    'no hashes': good.subarray(0, 8),
    'a hash too few': good.subarray(0, -32),
    'a byte too few': good.subarray(0, -1),
    'a byte too many': Buffer.concat([good, Buffer.alloc(1)]),
    'a hash too many': Buffer.concat([good, Buffer.alloc(32)]),
    'hashes of no leaves': Buffer.alloc(40),
    'an unsafe size': tooLarge,
    'the size before': Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 4]), good.subarray(8)]),
  };
  for (const [why, bytes] of Object.entries(refused)) t.throws(() => decodeRange(bytes), { code: 'MALFORMED' }, why);
  t.equal(decodeRange(Buffer.alloc(8)).end, 0);
  t.equal(encodeRange(extendRange({ begin: 0, end: 2 ** 53 - 2, hashes: filler(52) }, filler(1))).length, 1_704);

  t.throws(() => rootOf(part(1, 5)), { code: 'OUT_OF_RANGE' });
  t.throws(() => encodeRange(part(1, 5)), { code: 'OUT_OF_RANGE' });
  t.throws(() => mergeRanges(part(0, 5), part(4, 6)), { code: 'OUT_OF_RANGE' });
  t.throws(() => mergeRanges(part(0, 5), part(6, 7)), { code: 'OUT_OF_RANGE' });
  t.throws(() => extendRange(emptyRange(), [Buffer.alloc(31)]), { code: 'OUT_OF_RANGE' });
  t.throws(() => extendRange({ begin: 0, end: 2 ** 53 - 1, hashes: filler(53) }, filler(1)), { code: 'OUT_OF_RANGE' });
  t.throws(() => extendRange({ begin: 0, end: 1, hashes: [] }, filler(1)), { code: 'OUT_OF_RANGE' }, 'it lacks one');
  t.throws(() => emptyRange(-1), { code: 'OUT_OF_RANGE' });
});

function part(begin: number, end: number) {
  return extendRange(emptyRange(begin), LEAVES.slice(begin, end));
}

function filler(count: number): Buffer[] {
  return Array.from({ length: count }, () => Buffer.alloc(32, 9));
}
