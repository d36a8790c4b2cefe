import assert from 'node:assert/strict';

import { goneWithin, processesWith, run, type Statement, said, seen } from './statement.ts';

/** What is left when something is closed: nothing. */
export const LIFECYCLE: readonly Statement[] = [
  {
    says: 'its state says that it can be had, and how well',
    check: async ({ isolation }) => {
      for (const state of [await isolation.state(), await isolation.recheck()]) {
        assert.ok(state.available, JSON.stringify(state));
        assert.ok(state.limits === 'enforced' || state.limits === 'degraded');
        assert.match(state.version, /\d/);
      }
    },
  },
  {
    says: 'a closed sandbox leaves nothing of a command that left things behind',
    check: async ({ open, watch, marker }) => {
      const nothingCame = watch?.();
      const sandbox = await open();
      const leave = `(setsid sh -c 'trap "" TERM HUP; sleep 20; : ${marker}' >/dev/null 2>&1 &)`;
      said(await run(sandbox, `mkdir -p a/b/c; ln -s / a/root; mkfifo a/fifo; chmod 0 a/b; ${leave}`));
      await sandbox.close();
      await goneWithin(marker, 200);
      await nothingCame?.().catch((error: unknown) => assert.fail(String(error)));
    },
  },
  {
    says: 'closing twice, at once or later, is as good as once',
    check: async ({ open, marker }) => {
      const sandbox = await open();
      said(await run(sandbox, `(setsid sh -c 'sleep 20; : ${marker}' >/dev/null 2>&1 &)`));
      await Promise.all([sandbox.close(), sandbox.close()]);
      await sandbox.close();
      await goneWithin(marker, 200);
    },
  },
  {
    says: 'closing ends the command that runs, as cancelled',
    check: async ({ open, marker }) => {
      const sandbox = await open();
      let ready = false;
      const running = run(sandbox, `echo ready; sleep 20; : ${marker}`, {
        onOutput: () => {
          ready = true;
        },
      });
      await seen('it runs', () => ready);
      await sandbox.close();
      await goneWithin(marker, 200);
      const done = await running;
      assert.deepEqual([done.result, done.exitCode, done.stdout.text], ['cancelled', null, 'ready\n']);
    },
  },
  {
    says: 'a closed sandbox runs nothing',
    check: async ({ open, marker }) => {
      const sandbox = await open();
      await sandbox.close();
      const done = await run(sandbox, `echo ran; : ${marker}`).catch(() => undefined);
      assert.notEqual(done?.stdout.text, 'ran\n');
      assert.ok(done === undefined || done.result === 'cancelled' || done.result === 'setup_failed', done?.result);
    },
  },
  {
    says: 'closing one sandbox lets the others run',
    check: async ({ open }) => {
      const [one, other] = [await open(), await open()];
      let ready = false;
      const running = run(other, 'echo ready; sleep 0.7; echo done', {
        onOutput: () => {
          ready = true;
        },
      });
      await seen('it runs', () => ready);
      await one.close();
      assert.equal(said(await running), 'ready\ndone');
      assert.equal((await run(one, 'true').catch(() => undefined))?.result === 'ok', false, 'but it is closed itself');
    },
  },
  {
    says: 'what is closed as a whole ends everything that runs, and leaves nothing',
    check: async ({ fresh, open, watch, marker }) => {
      const nothingCame = watch?.();
      const isolation = await fresh();
      const sandboxes = [await open({}, isolation), await open({}, isolation)];
      const running = sandboxes.map((sandbox) => run(sandbox, `echo a; sleep 20; : ${marker}`));
      await seen('both run', () => processesWith(marker).length >= 2);
      await isolation.close();
      await goneWithin(marker, 200);
      for (const done of await Promise.all(running)) assert.equal(done.result, 'cancelled');
      await nothingCame?.().catch((error: unknown) => assert.fail(String(error)));
    },
  },
  {
    says: 'what is closed as a whole isolates nothing any more, and closes again',
    check: async ({ fresh, open }) => {
      const isolation = await fresh();
      await isolation.close();
      const opened = await open({}, isolation).catch(() => undefined);
      assert.equal(opened, undefined);
      await isolation.close();
    },
  },
];
