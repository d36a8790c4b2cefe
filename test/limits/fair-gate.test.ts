import t from 'tap';
import { FairGate } from '../../src/limits/fair-gate.ts';
import fc from '../support/fast-check.ts';

interface Line {
  readonly gate: FairGate;
  /** `a0` asked to enter: `in`, `waits` or `no`. */
  ask(name: string, now?: number): 'in' | 'waits' | 'no';
  /** Gives up a wait. */
  cancel(name: string): void;
  /** Who entered after a wait, and who was refused after one, in order. */
  readonly entered: string[];
  readonly refused: string[];
}

function line(capacity: number, maxWaiting = 100, maxWaitMs = 1000): Line {
  const gate = new FairGate({ capacity, maxWaiting, maxWaitMs });
  const entered: string[] = [];
  const refused: string[] = [];
  const waiters = new Map<string, { enter: () => void; refuse: () => void }>();
  return {
    gate,
    entered,
    refused,
    ask: (name, now = 0) => {
      const key = name.charAt(0);
      if (gate.enter(key)) return 'in';
      const waiter = { enter: () => void entered.push(name), refuse: () => void refused.push(name) };
      waiters.set(name, waiter);
      return gate.wait(key, waiter, now) ? 'waits' : 'no';
    },
    cancel: (name) => {
      const waiter = waiters.get(name);
      if (waiter !== undefined) gate.cancel(name.charAt(0), waiter);
    },
  };
}

t.test('one key has half of the places, the others find one', async (t) => {
  const { gate, ask } = line(4);
  t.same(
    ['a0', 'a1', 'a2'].map((name) => ask(name)),
    ['in', 'in', 'waits'],
  );
  t.same(
    ['b0', 'b1', 'c0'].map((name) => ask(name)),
    ['in', 'in', 'waits'],
  );
  t.equal(gate.inFlight, 4);
  t.equal(gate.waiting, 2);
});

t.test('keys take turns, each in its own order', async (t) => {
  const { gate, ask, entered } = line(2);
  for (const name of ['x0', 'y0', 'a0', 'a1', 'a2', 'a3', 'b0', 'b1', 'c0']) ask(name);
  gate.leave('x');
  for (const key of ['a', 'b', 'c', 'a', 'b', 'a']) gate.leave(key);
  t.same(entered, ['a0', 'b0', 'c0', 'a1', 'b1', 'a2', 'a3']);
});

t.test('a full line makes room for a key that waits with less', async (t) => {
  const { gate, ask, refused } = line(2, 4);
  for (const name of ['x0', 'y0', 'a0', 'a1', 'a2', 'a3']) ask(name);
  t.equal(ask('a4'), 'no');
  t.equal(ask('b0'), 'waits');
  t.equal(ask('b1'), 'waits');
  t.same(refused, ['a3', 'a2'], 'the last of the longest line');
  t.equal(ask('b2'), 'no', 'both have the same now');
  t.equal(gate.waiting, 4);
  const even = line(2, 2);
  t.same(
    ['x0', 'y0', 'a0', 'b0', 'c0'].map((name) => even.ask(name)),
    ['in', 'in', 'waits', 'waits', 'no'],
    'nobody is turned away for one who would wait no less',
  );
});

t.test('nobody waits for ever, and who gives up leaves nothing behind', async (t) => {
  const { gate, ask, cancel, refused, entered } = line(2, 10, 1000);
  for (const name of ['x0', 'y0']) ask(name);
  ask('a0', 0);
  ask('a1', 500);
  ask('b0', 999);
  gate.expire(999);
  t.same(refused, []);
  gate.expire(1000);
  t.same(refused, ['a0']);
  cancel('a1');
  cancel('a1');
  t.equal(gate.waiting, 1);
  gate.leave('x');
  gate.leave('y');
  t.same(entered, ['b0']);
  gate.leave('b');
  t.same([gate.inFlight, gate.waiting], [0, 0]);
});

t.test('no waiting at all', async (t) => {
  const { ask } = line(2, 0);
  t.same([ask('a0'), ask('a1'), ask('b0')], ['in', 'no', 'in']);
});

t.test('within its bounds whatever happens; nobody waits next to a free place', async () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ what: fc.constant('ask' as const), key }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('leave' as const), key }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('cancel' as const), key }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('expire' as const), key }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { gate, ask, cancel, entered, refused } = line(4, 6, 20);
      const inside = new Map<string, number>();
      const enter = (name: string) => inside.set(name.charAt(0), (inside.get(name.charAt(0)) ?? 0) + 1);
      const waiting = new Set<string>();
      let [seenIn, seenOut] = [0, 0];
      for (const [now, { what, key }] of steps.entries()) {
        if (what === 'ask') {
          const answer = ask(`${key}${now}`, now);
          if (answer === 'in') enter(key);
          if (answer === 'waits') waiting.add(`${key}${now}`);
        } else if (what === 'leave' && (inside.get(key) ?? 0) > 0) {
          inside.set(key, (inside.get(key) ?? 0) - 1);
          gate.leave(key);
        } else if (what === 'cancel') {
          const mine = [...waiting].find((name) => name.startsWith(key));
          if (mine !== undefined) cancel(mine);
          waiting.delete(mine ?? '');
        } else if (what === 'expire') gate.expire(now);
        for (const name of entered.slice(seenIn)) {
          enter(name);
          if (!waiting.delete(name)) return false;
        }
        for (const name of refused.slice(seenOut)) if (!waiting.delete(name)) return false;
        [seenIn, seenOut] = [entered.length, refused.length];

        const counts = [...inside.values()];
        if (gate.inFlight !== counts.reduce((sum, count) => sum + count, 0)) return false;
        if (gate.waiting !== waiting.size || waiting.size > 6) return false;
        if (gate.inFlight > 4 || counts.some((count) => count > 2)) return false;
        const couldEnter = [...waiting].some((name) => (inside.get(name.charAt(0)) ?? 0) < 2);
        if (gate.inFlight < 4 && couldEnter) return false;
      }
      return true;
    }),
    { numRuns: 500 },
  );
});

t.test('a place that turns out to be of another key counts as its', async (t) => {
  const { gate, ask, entered } = line(4);
  t.same([ask('a1'), ask('a2'), ask('a3')], ['in', 'in', 'waits']);
  t.equal(gate.move('a', 'b'), true);
  t.same(entered, ['a3'], 'the share it left is free');
  t.equal(gate.move('a', 'b'), true);
  t.equal(gate.move('a', 'b'), false, 'b has its share');
  t.equal(gate.move('b', 'b'), true);
  t.equal(gate.inFlight, 3);
  for (const key of ['a', 'b', 'b']) gate.leave(key);
  t.equal(gate.inFlight, 0);
  t.equal(gate.move('a', 'b'), false, 'nobody is in');
});
