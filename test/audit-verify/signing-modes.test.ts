import { createHash } from 'node:crypto';

import t from 'tap';

import { parsePlace, placeForm, rootAbove } from '../../src/audit/verify/batch-place.ts';
import { SigningModes } from '../../src/audit/verify/signing-modes.ts';
import fc from '../support/fast-check.ts';
import { mth, path } from '../transparency/support/reference.ts';

const plain = { covers: undefined, switches: undefined };
const cover = { covers: { from: 1, to: 1 }, switches: undefined };
const to = (from: string, mode: string) => ({ covers: undefined, switches: { from, to: mode } });

/** What is wrong with a chain of signed events, each with its mode; `lost`: something is missing. */
function judged(events: readonly ([string, Parameters<SigningModes['signed']>[2]] | 'lost')[]): number[] {
  const modes = new SigningModes();
  const wrong: number[] = [];
  for (const [index, event] of events.entries()) {
    if (event === 'lost') modes.lost();
    const seq = event === 'lost' ? undefined : modes.signed(index, ...event);
    if (seq !== undefined) wrong.push(seq);
  }
  return wrong;
}

t.test('a chain begins in mode event, and changes with an event that says so in the new mode', async (t) => {
  const batch = to('event', 'batch');
  t.same(
    judged([
      ['event', plain],
      ['batch', batch],
      ['batch', plain],
      ['event', to('batch', 'event')],
    ]),
    [],
  );
  t.same(
    judged([
      ['batch', batch],
      ['batch', plain],
    ]),
    [],
  );
  t.same(
    judged([
      ['batch', plain],
      ['batch', plain],
    ]),
    [0],
    'told once',
  );
  t.same(
    judged([
      ['batch', batch],
      ['event', plain],
      ['batch', plain],
    ]),
    [1, 2],
  );
  t.same(
    judged([
      ['event', batch],
      ['event', plain],
    ]),
    [0],
    'a switch that is not in its own mode',
  );
  t.same(judged([['batch', to('batch', 'batch')]]), [0]);
  t.same(judged([['event', to('batch', 'event')]]), [0], 'from a mode that the chain is not in');
});

t.test('a cover may stand before the switch, and nothing else', async (t) => {
  const batch = to('event', 'batch');
  t.same(
    judged([
      ['batch', cover],
      ['batch', batch],
      ['batch', plain],
    ]),
    [],
  );
  t.same(
    judged([
      ['event', cover],
      ['event', plain],
      ['event', cover],
    ]),
    [],
  );
  t.same(
    judged([
      ['batch', cover],
      ['batch', plain],
      ['batch', plain],
    ]),
    [0],
  );
  t.same(
    judged([
      ['batch', cover],
      ['event', plain],
    ]),
    [0],
  );
});

t.test('after something is lost the next event tells the mode', async (t) => {
  t.same(judged(['lost', ['batch', plain], ['batch', plain]]), []);
  t.same(judged(['lost', ['batch', plain], ['event', plain]]), [2]);
  t.same(judged(['lost', ['batch', to('event', 'batch')], ['batch', plain]]), []);
  t.same(judged(['lost', ['batch', cover], ['batch', to('event', 'batch')]]), []);
  t.same(judged([['batch', cover], 'lost', ['event', plain]]), []);
});

t.test('the root is found from every place of every small tree, and from no other', async (t) => {
  for (let size = 1; size <= 40; size += 1) {
    const leaves = Array.from({ length: size }, (_, index) => Buffer.from(`${index}`));
    const root = mth(leaves);
    for (const index of leaves.keys()) {
      const whole = Buffer.concat(path(index, leaves));
      const at = (place: Partial<{ index: number; size: number; path: Buffer }>) =>
        rootAbove(leafOf(index), { index, size, path: whole, ...place });
      if (at({})?.equals(root) !== true) t.fail(`${index} of ${size}`);
      const others = [-1, 0.5, Number.NaN, size, ...leaves.keys()].filter((other) => other !== index);
      if (others.some((other) => at({ index: other })?.equals(root) === true)) t.fail(`another index of ${size}`);
      const paths = [whole.subarray(1), whole.subarray(0, -32), Buffer.concat([whole, root])];
      if (paths.some((other) => !other.equals(whole) && at({ path: other })?.equals(root) === true)) t.fail('path');
      if (at({ size: 2 * size }) !== undefined || at({ size: 2 ** 31 }) !== undefined) t.fail('a higher tree');
    }
  }
  t.pass('all of them');
});

t.test('a place is read as it was written, and what is none leads nowhere', async (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (index, size, hash) => {
      const place = { index, size, path: Buffer.concat([hash, hash]) };
      t.strictSame(parsePlace(JSON.parse(JSON.stringify(placeForm(place)))), place);
    }),
    { numRuns: 20 },
  );
  const hash = Buffer.alloc(32, 1).toString('base64');
  const odd = ['x', 7, [], {}, { index: 0, size: 1 }, { index: '0', size: 1, path: [] }];
  const paths = [['AAAA'], [hash.replace('=', '')], [`${hash} `], [7], 'x', null].map((path) => ({
    index: 0,
    size: 1,
    path,
  }));
  for (const value of [...odd, ...paths]) {
    const place = parsePlace(value);
    t.ok(place !== undefined && rootAbove(leafOf(0), place) === undefined, JSON.stringify(value));
  }
  t.equal(parsePlace(undefined), undefined);
  t.equal(parsePlace(null), undefined);
});

function leafOf(index: number): Buffer {
  return createHash('sha256').update('\x00').update(`${index}`).digest();
}
