import t from 'tap';

import { type Place, RunQueue, type Waiting } from '../../src/sandbox-runs/queue.ts';

function took(place: Place | undefined): Place {
  if (place === undefined) throw new Error('no place');
  return place;
}

function waits(waiting: Waiting | undefined): Waiting {
  if (waiting === undefined) throw new Error('no turn');
  return waiting;
}

/** Whether it has its place by now. */
async function isIn({ place }: Waiting): Promise<boolean> {
  const no = Symbol('no');
  return (await Promise.race([place, new Promise((resolve) => setImmediate(() => resolve(no)))])) !== no;
}

t.test('places are bounded, in all and for a workspace', async (t) => {
  const queue = new RunQueue({ capacity: 3, maxWaiting: 4 });
  const first = took(queue.take('a', 2));
  took(queue.take('a', 2));
  t.equal(queue.take('a', 2), undefined, 'the bound of the workspace');
  took(queue.take('b', 2));
  t.equal(queue.take('c', 2), undefined, 'the bound of all');
  t.equal(queue.running, 3);
  const waiting = waits(queue.wait('a', 2));
  t.equal(await isIn(waiting), false);
  first.release();
  first.release();
  t.equal(await isIn(waiting), true, 'and is let in once, when one is over');
  t.same([queue.running, queue.waiting], [3, 0]);
});

t.test('workspaces take turns, and none overtakes in its own line', async (t) => {
  const queue = new RunQueue({ capacity: 1, maxWaiting: 10 });
  const places = [took(queue.take('noisy', 9))];
  const order: string[] = [];
  const come = (workspaceId: string, name: string) => {
    void waits(queue.wait(workspaceId, 9)).place.then((place) => {
      order.push(name);
      places.push(took(place));
    });
  };
  for (const name of ['n1', 'n2', 'n3']) come('noisy', name);
  come('quiet', 'q1');
  t.equal(queue.take('noisy', 9), undefined);
  for (let turn = 0; turn < 4; turn += 1) {
    places.at(-1)?.release();
    await new Promise(setImmediate);
  }
  t.equal(order.indexOf('q1') < 2, true, order.join());
  t.same(
    order.filter((name) => name.startsWith('n')),
    ['n1', 'n2', 'n3'],
  );
});

t.test('a full line still has a turn for whom nobody waits', async (t) => {
  const queue = new RunQueue({ capacity: 1, maxWaiting: 2 });
  const place = took(queue.take('noisy', 9));
  waits(queue.wait('noisy', 9));
  waits(queue.wait('noisy', 9));
  t.equal(queue.wait('noisy', 9), undefined, 'the bound');
  const quiet = waits(queue.wait('quiet', 9));
  t.equal(queue.wait('quiet', 9), undefined, 'with one');
  waits(queue.wait('third', 9));
  t.equal(queue.wait('fourth', 9), undefined, 'up to twice the bound');
  quiet.leave();
  quiet.leave();
  t.equal(await quiet.place, undefined, 'who leaves gets none');
  t.equal(queue.waiting, 3);
  place.release();
  t.equal(queue.running, 1);
  const none = new RunQueue({ capacity: 1, maxWaiting: 0 });
  took(none.take('a', 1));
  t.equal(none.wait('b', 1), undefined, 'no line at all');
});

t.test('a closed queue lets nobody in and tells those who wait', async (t) => {
  const queue = new RunQueue({ capacity: 1, maxWaiting: 2 });
  const place = took(queue.take('a', 1));
  const waiting = waits(queue.wait('a', 1));
  queue.close();
  t.equal(await waiting.place, undefined);
  place.release();
  t.equal(queue.take('a', 1), undefined);
  t.equal(queue.wait('a', 1), undefined);
  t.same([queue.running, queue.waiting, queue.isClosed], [0, 0, true]);
});

t.test('a raised bound lets those in who wait', async (t) => {
  const queue = new RunQueue({ capacity: 4, maxWaiting: 4 });
  took(queue.take('a', 1));
  const first = waits(queue.wait('a', 1));
  t.equal(await isIn(first), false);
  const second = waits(queue.wait('a', 3));
  t.same([await isIn(first), await isIn(second)], [true, true]);
});
