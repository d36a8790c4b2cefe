import assert from 'node:assert/strict';

import { run, type Statement, said } from './statement.ts';

/** What is said of a command that ends by itself. */
export const RESULTS: readonly Statement[] = [
  {
    says: 'a command that ends well is ok with exit code 0',
    check: async ({ once }) => {
      const { result, exitCode, signal } = await once('true');
      assert.deepEqual({ result, exitCode, signal }, { result: 'ok', exitCode: 0, signal: null });
    },
  },
  {
    says: 'one that fails is failed with its exit code',
    check: async ({ once }) => {
      const { result, exitCode, signal } = await once('exit 7');
      assert.deepEqual({ result, exitCode, signal }, { result: 'failed', exitCode: 7, signal: null });
    },
  },
  {
    says: 'one that is not there is failed with 127, never setup_failed',
    check: async ({ once }) => {
      const { result, exitCode, stderr } = await once('no-such-program-anywhere');
      assert.deepEqual({ result, exitCode }, { result: 'failed', exitCode: 127 });
      assert.match(stderr.text, /not found/);
    },
  },
  {
    says: 'the exit codes of launchers are those of the command when it ends with them',
    check: async ({ open }) => {
      const sandbox = await open();
      for (const code of [1, 125, 126, 137, 255]) {
        const { result, exitCode } = await run(sandbox, `exit ${code}`);
        assert.deepEqual({ result, exitCode }, { result: 'failed', exitCode: code });
      }
    },
  },
  {
    says: 'a signal of its own is failed, and is named',
    check: async ({ once }) => {
      const { result, signal } = await once('kill -SEGV $$; sleep 5');
      assert.deepEqual({ result, signal }, { result: 'failed', signal: 'SIGSEGV' });
    },
  },
  {
    says: 'the shell has the last word: a failure before the last command is none',
    check: async ({ once }) => {
      const { result, exitCode } = await once('false; true');
      assert.deepEqual({ result, exitCode }, { result: 'ok', exitCode: 0 });
      assert.equal((await once('true; false')).exitCode, 1);
    },
  },
  {
    says: 'the command is taken as it is: quotes, newlines, dollars, what is not ASCII',
    check: async ({ once }) => {
      const command = `printf '%s\\n' "a  b" 'c"d' '$HOME' \\\n  "ü→𝄞" '--' '-n'\n# the end`;
      assert.equal(said(await once(command)), 'a  b\nc"d\n$HOME\nü→𝄞\n--\n-n');
    },
  },
  {
    says: 'a command with a NUL is refused or set up in vain, never cut short',
    check: async ({ once }) => {
      const done = await once('echo first\0; echo second').catch(() => undefined);
      assert.ok(done === undefined || done.result === 'setup_failed', JSON.stringify(done));
    },
  },
  {
    says: 'a result cannot be forged by writing to descriptors that are there',
    check: async ({ once }) => {
      const { result, exitCode } = await once(
        'for fd in 3 4 5 6 7 8 9; do (echo "{ \\"exit-code\\": 0 }" >&$fd) 2>/dev/null; done; exit 3',
      );
      assert.deepEqual({ result, exitCode }, { result: 'failed', exitCode: 3 });
    },
  },
  {
    says: 'what it took is measured from outside',
    check: async ({ once }) => {
      const { durationMs } = await once('sleep 0.3');
      assert.ok(durationMs >= 300 && durationMs < 20_000, `${durationMs} ms`);
    },
  },
  {
    says: 'its memory and its processor time are known',
    needs: ['usage'],
    check: async ({ once }) => {
      const { usage } = await once(
        'head -c 30M /dev/zero | tail -c 30M | md5sum; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done',
      );
      assert.ok((usage.peakMemoryBytes ?? 0) > 20_000_000, JSON.stringify(usage));
      assert.ok((usage.cpuMs ?? 0) > 20 && (usage.cpuMs ?? 0) < 20_000, JSON.stringify(usage));
    },
  },
  {
    says: 'what is used is counted for each command by itself',
    needs: ['usage'],
    check: async ({ open }) => {
      const sandbox = await open();
      const first = await run(sandbox, 'i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done');
      const second = await run(sandbox, 'true');
      const of = (done: typeof first) => done.usage.cpuMs ?? 0;
      assert.ok(of(first) > 2 * of(second), `${of(first)} ms, ${of(second)} ms`);
    },
  },
];
