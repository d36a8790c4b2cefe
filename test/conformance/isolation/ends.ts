import assert from 'node:assert/strict';

import { goneWithin, LIMITS, run, type Statement, said, seen } from './statement.ts';

const MIB = 1024 * 1024;
/** ms that a busy machine may add to a limit. */
const SLACK_MS = 4000;

/** How commands end that do not end by themselves. */
export const ENDS: readonly Statement[] = [
  {
    says: 'a command that takes too long is a timeout, with what it has written',
    check: async ({ once }) => {
      const done = await once('echo partial; echo problem >&2; sleep 30', { timeoutMs: 2000 });
      assert.deepEqual([done.result, done.exitCode], ['timeout', null]);
      assert.deepEqual([done.stdout.text, done.stderr.text], ['partial\n', 'problem\n']);
      assert.ok(done.durationMs >= 2000 && done.durationMs < 2000 + SLACK_MS, `${done.durationMs} ms`);
    },
  },
  {
    says: 'a timeout ends what ignores signals and has left its session',
    check: async ({ once, marker }) => {
      const stubborn = `trap '' TERM INT HUP; (setsid sh -c 'trap "" TERM HUP; sleep 30; : ${marker}' &) ; sleep 30; : ${marker}`;
      assert.equal((await once(stubborn, { timeoutMs: 700 })).result, 'timeout');
      await goneWithin(marker, 500);
    },
  },
  {
    says: 'the next command after a timeout works',
    check: async ({ open }) => {
      const sandbox = await open();
      const late = await run(sandbox, 'echo kept > file; sleep 30', { timeoutMs: 2000 });
      assert.equal(late.result, 'timeout');
      assert.equal(said(await run(sandbox, 'cat file')), 'kept');
    },
  },
  {
    says: 'one that is cancelled is so soon, with what it has written',
    check: async ({ open, marker }) => {
      const sandbox = await open();
      const stop = new AbortController();
      let heard = '';
      const running = run(sandbox, `echo partial; sleep 30; : ${marker}`, {
        signal: stop.signal,
        onOutput: (_stream, chunk) => {
          heard += chunk.toString();
        },
      });
      await seen('its first line', () => heard === 'partial\n');
      const at = performance.now();
      stop.abort();
      const done = await running;
      assert.deepEqual([done.result, done.exitCode, done.stdout.text], ['cancelled', null, 'partial\n']);
      assert.ok(performance.now() - at < 2000, `after ${performance.now() - at} ms`);
      await goneWithin(marker, 500);
    },
  },
  {
    says: 'one that is cancelled before it starts never runs',
    check: async ({ open }) => {
      const sandbox = await open();
      const done = await run(sandbox, 'echo ran > file', { signal: AbortSignal.abort() });
      assert.equal(done.result, 'cancelled');
      assert.equal(said(await run(sandbox, 'ls')), '');
    },
  },
  {
    says: 'one that wants more memory than it has is oom',
    needs: ['limits'],
    check: async ({ once }) => {
      const limits = { ...LIMITS, memoryBytes: 64 * MIB };
      const done = await once('head -c 300M /dev/zero | tail -c 300M | wc -c', { limits });
      assert.equal(done.result, 'oom', JSON.stringify(done));
    },
  },
  {
    says: 'also when the command goes on after its child was killed for memory and ends well',
    needs: ['limits'],
    check: async ({ once }) => {
      const limits = { ...LIMITS, memoryBytes: 64 * MIB };
      const done = await once('(head -c 300M /dev/zero | tail -c 300M | wc -c); exit 0', { limits });
      assert.equal(done.result, 'oom', JSON.stringify(done));
    },
  },
  {
    says: 'one that wants less memory than it has gets it, in the same sandbox after an oom',
    needs: ['limits'],
    check: async ({ open }) => {
      const sandbox = await open({ limits: { ...LIMITS, memoryBytes: 96 * MIB } });
      const big = await run(sandbox, 'head -c 300M /dev/zero | tail -c 300M | wc -c');
      assert.equal(big.result, 'oom');
      assert.equal(said(await run(sandbox, 'head -c 20M /dev/zero | tail -c 20M | wc -c')), String(20 * MIB));
    },
  },
  {
    says: 'one that fills its disk is disk_limit',
    needs: ['limits'],
    check: async ({ once }) => {
      const done = await once('head -c 60M /dev/zero > big || exit 9', { limits: { ...LIMITS, diskBytes: 16 * MIB } });
      assert.equal(done.result, 'disk_limit', JSON.stringify(done));
    },
  },
  {
    says: 'one that writes less than its disk holds is ok, and the space comes back with the file',
    needs: ['limits'],
    check: async ({ open }) => {
      const sandbox = await open({ limits: { ...LIMITS, diskBytes: 16 * MIB } });
      for (let round = 0; round < 3; round += 1) {
        const done = await run(sandbox, 'head -c 12M /dev/zero > f && wc -c < f && rm f && df -B1 --output=size .');
        assert.match(said(done), new RegExp(`^${12 * MIB}\\n`));
        assert.ok(Number(/\d+$/.exec(said(done))?.[0]) <= 17 * MIB, said(done));
      }
    },
  },
  {
    says: 'one that writes without end is output_limit, with its head and tail',
    check: async ({ once }) => {
      const done = await once(`echo first; head -c 100M /dev/zero | tr '\\0' y; sleep 5`);
      assert.equal(done.result, 'output_limit', done.result);
      assert.match(done.stdout.text, /^first\ny/);
      assert.ok(done.stdout.bytes >= 60 * MIB && done.stdout.bytes <= 80 * MIB, `${done.stdout.bytes} bytes`);
      assert.equal(done.stdout.truncated, true);
    },
  },
  {
    says: 'stderr counts towards the same limit',
    check: async ({ once }) => {
      const done = await once('(head -c 50M /dev/zero >&2) & head -c 50M /dev/zero; wait; sleep 5');
      assert.equal(done.result, 'output_limit', done.result);
    },
  },
  {
    says: 'no more processes than the limit can be started',
    needs: ['limits'],
    check: async ({ once }) => {
      const many = 'i=0; while [ $i -lt 80 ]; do sleep 3 & i=$((i+1)); done; echo all';
      const done = await once(many, { limits: { ...LIMITS, pids: 24 } });
      assert.doesNotMatch(done.stdout.text, /all/);
      assert.match(done.stderr.text, /fork/i);
      assert.equal(done.result, 'failed');
    },
  },
  {
    says: 'no more processor time than the limit is had',
    needs: ['limits', 'usage'],
    check: async ({ once }) => {
      const spin = 'while :; do :; done & a=$!; while :; do :; done & b=$!; sleep 1.5; kill $a $b; exit 0';
      const { usage, durationMs } = await once(spin, { limits: { ...LIMITS, cpu: 0.25 } });
      assert.ok(
        (usage.cpuMs ?? 0) > 100 && (usage.cpuMs ?? 0) < durationMs * 0.45,
        `${usage.cpuMs} ms of ${durationMs}`,
      );
    },
  },
];
