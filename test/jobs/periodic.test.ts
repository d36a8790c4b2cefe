import t from 'tap';

import { createPeriodicRunner, type PeriodicTask } from '../../src/jobs/periodic.ts';

const half = () => 0.5;

function observer() {
  const failures: [string, unknown][] = [];
  const finished: string[] = [];
  return {
    failures,
    finished,
    observe: {
      finished: (name: string) => {
        finished.push(name);
      },
      failed: (name: string, error: unknown) => {
        failures.push([name, error]);
      },
    },
  };
}

function counted(rounds: number, body: (round: number) => Promise<void>) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let round = 0;
  const task: PeriodicTask = {
    name: 'counted',
    everyMs: 1,
    run: async () => {
      round += 1;
      if (round === rounds) resolve();
      await body(round);
    },
  };
  return { task, reached: promise };
}

t.test('a task runs again and again, never beside itself', async (t) => {
  let inside = 0;
  let most = 0;
  const { task, reached } = counted(5, async () => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside -= 1;
  });
  const runner = createPeriodicRunner({ tasks: [task], observe: observer().observe, random: half });
  // The runner's timers do not hold the process; this one stands for the server that does.
  const alive = setInterval(() => undefined, 1000);
  runner.start();
  runner.start();
  await reached;
  await runner.stop();
  clearInterval(alive);
  t.equal(most, 1);
  t.equal(inside, 0, 'stop waited for the round under way');
});

t.test('a failing round is reported and does not end the task', async (t) => {
  const seen = observer();
  const broken = new Error('no database');
  const { task, reached } = counted(3, async (round) => {
    if (round === 1) throw broken;
  });
  const runner = createPeriodicRunner({ tasks: [task], observe: seen.observe, random: half });
  const alive = setInterval(() => undefined, 1000);
  runner.start();
  await reached;
  await runner.stop();
  clearInterval(alive);
  t.same(seen.failures, [['counted', broken]]);
  t.ok(seen.finished.length >= 2);
});

t.test('stop waits, tells the round to hurry, and nothing begins after it', async (t) => {
  let rounds = 0;
  let ended = false;
  const entered = Promise.withResolvers<void>();
  const task: PeriodicTask = {
    name: 'long',
    everyMs: 1,
    run: (signal) => {
      rounds += 1;
      entered.resolve();
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          ended = true;
          resolve();
        });
      });
    },
  };
  const runner = createPeriodicRunner({ tasks: [task], observe: observer().observe, random: half });
  const alive = setInterval(() => undefined, 1000);
  runner.start();
  await entered.promise;
  await runner.stop();
  t.ok(ended);
  t.equal(rounds, 1);
  clearInterval(alive);
});

t.test('two tasks of one name are a mistake', async (t) => {
  const task: PeriodicTask = { name: 'same', everyMs: 1, run: async () => undefined };
  t.throws(() => createPeriodicRunner({ tasks: [task, task], observe: observer().observe, random: half }), RangeError);
});
