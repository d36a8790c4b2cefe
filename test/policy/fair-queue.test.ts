import t from 'tap';
import { FairQueue } from '../../src/policy/evaluator/fair-queue.ts';
import fc from '../support/fast-check.ts';

function filled(keys: string, maxQueued = 100, workers = 2): FairQueue<string> {
  const queue = new FairQueue<string>(maxQueued, workers);
  for (const [n, key] of [...keys].entries()) queue.push(key, `${key}${n}`);
  return queue;
}

/** What is started when each ends before the next. */
function served(queue: FairQueue<string>): string[] {
  const jobs: string[] = [];
  for (let next = queue.next(); next !== undefined; next = queue.next()) {
    jobs.push(next.job);
    queue.ended(next.key);
  }
  return jobs;
}

t.test('keys take turns, each in its own order', async (t) => {
  t.strictSame(served(filled('aaaabbc')), ['a0', 'b4', 'c6', 'a1', 'b5', 'a2', 'a3']);
});

t.test('one key has all workers only while nobody else waits', async (t) => {
  const queue = filled('aaa');
  t.match([queue.next(), queue.next()], [{ job: 'a0' }, { job: 'a1' }]);
  queue.push('b', 'b');
  queue.ended('a');
  t.match(queue.next(), { job: 'b' }, 'though a waits longer');
  t.match(queue.next(), { job: 'a2' });
  t.equal(queue.next(), undefined);
});

t.test('a key with a hard stop never has all workers, until it answers', async (t) => {
  const queue = filled('aaa');
  queue.strike('a', 0);
  t.match([queue.next(), queue.next()], [{ job: 'a0' }, undefined]);
  queue.answered('a');
  t.match(queue.next(), { job: 'a1' });
});

t.test('three hard stops in a row are refused for a second, this key only', async (t) => {
  const queue = new FairQueue<string>(10, 2);
  for (const now of [0, 10]) queue.strike('a', now);
  t.equal(queue.isRefused('a', 10), false);
  queue.strike('a', 20);
  t.equal(queue.isRefused('a', 1019), true);
  t.equal(queue.isRefused('b', 1019), false);
  t.equal(queue.isRefused('a', 1020), false);
  queue.strike('a', 1021);
  t.equal(queue.isRefused('a', 1022), true, 'one more is enough');
  queue.strike('b', 61_021);
  t.equal(queue.isRefused('a', 61_021), false, 'and forgotten after a minute');
});

t.test('a key has a quarter of the queue', async (t) => {
  const queue = new FairQueue<string>(8, 2);
  t.strictSame(
    [...'aaabbbccddd'].map((key) => queue.push(key, key)),
    [undefined, undefined, 'key', undefined, undefined, 'key', undefined, undefined, undefined, undefined, 'all'],
  );
  t.strictSame([queue.length, queue.drain().length, queue.length, queue.next()], [8, 8, 0, undefined]);
});

t.test('nothing is lost, nothing twice, and nobody waits longer than one round', async () => {
  const keys = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd'), minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(keys, (text) => {
      const jobs = served(filled(text, 1000));
      const wanted = [...text].map((key, n) => `${key}${n}`);
      const count = new Set(text).size;
      return (
        [...jobs].sort().join() === wanted.sort().join() &&
        new Set(jobs.slice(0, count).map((job) => job[0])).size === count
      );
    }),
  );
});

t.test('jobs of one lane may go together, and come back to its front', async (t) => {
  const queue = filled('aabaa');
  t.match(queue.next(), { key: 'a', job: 'a0' });
  t.equal(queue.waiting('a'), 3);
  t.equal(
    queue.alongside('a', (job) => job === 'a1'),
    'a1',
  );
  t.equal(
    queue.alongside('a', (job) => job === 'a4'),
    undefined,
    'only in order',
  );
  queue.putBack('a', ['a1']);
  t.equal(queue.length, 4);
  queue.ended('a');
  t.strictSame(served(queue), ['b2', 'a1', 'a3', 'a4']);
  t.equal(queue.length, 0);
});
