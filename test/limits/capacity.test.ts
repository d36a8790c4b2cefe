import t from 'tap';

import { Capacity } from '../../src/limits/capacity.ts';

function fresh(most = 128) {
  const capacity = new Capacity({ most, aimMs: 250 });
  const rounds = (ms: readonly number[], crowded: boolean, times: number) => {
    for (let index = 0; index < times; index += 1) {
      for (const took of ms) capacity.finished(took);
      capacity.adjust(crowded);
    }
    return capacity.places;
  };
  return { capacity, rounds };
}

t.test('fewer places while a crowd is slow, all of them soon after', async (t) => {
  const { rounds } = fresh();
  t.equal(rounds([50], true, 10), 128);
  t.equal(rounds([300], true, 1), 108);
  t.equal(rounds([2000], true, 100), 32);
  t.equal(rounds([200], true, 100), 32, 'between half the aim and the aim nothing changes');
  // 10 s are 40 rounds.
  t.equal(rounds([100], true, 7), 128, 'over in 2 s');
});

t.test('slow requests alone are no crowd', async (t) => {
  const { rounds } = fresh();
  t.equal(rounds([9000], false, 100), 128);
  t.equal(rounds([], false, 10), 128);
});

t.test('one slow request among many that are not changes nothing', async (t) => {
  const { rounds } = fresh();
  t.equal(rounds([60_000, ...Array.from({ length: 9 }, () => 20)], true, 10), 128);
});

t.test('a crowd of which nobody finishes', async (t) => {
  const { rounds } = fresh();
  t.equal(rounds([], true, 20), 32);
  t.equal(fresh(2).rounds([], true, 20), 1, 'never none');
});
