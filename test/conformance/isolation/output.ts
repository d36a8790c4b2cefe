import assert from 'node:assert/strict';

import type { Stream } from '../../../src/runtime/isolation.ts';
import { run, type Statement, said } from './statement.ts';

/** Prints every byte once. */
const ALL_BYTES = `i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf '%03o' $i)"; i=$((i+1)); done`;
const LONG = 1_000_000;

/** What is kept and passed on of what a command writes. */
export const OUTPUT: readonly Statement[] = [
  {
    says: 'stdout and stderr are kept apart',
    check: async ({ once }) => {
      const { stdout, stderr } = await once('echo out; echo err >&2; echo out2; echo err2 >&2');
      assert.deepEqual([stdout.text, stderr.text], ['out\nout2\n', 'err\nerr2\n']);
    },
  },
  {
    says: 'both can be opened by name',
    check: async ({ once }) => {
      const { stdout, stderr } = await once('echo out > /dev/stdout; echo err > /dev/stderr');
      assert.deepEqual([stdout.text, stderr.text], ['out\n', 'err\n']);
    },
  },
  {
    says: 'the end is kept as it was written, with or without a newline',
    check: async ({ once }) => {
      assert.equal((await once('printf "a\\nb"; printf "c\\n\\n" >&2')).stdout.text, 'a\nb');
      assert.equal((await once('printf "c\\n\\n" >&2')).stderr.text, 'c\n\n');
    },
  },
  {
    says: 'nothing written is nothing kept',
    check: async ({ once }) => {
      const none = { text: '', bytes: 0, truncated: false };
      const { stdout, stderr } = await once('sleep 0.05');
      assert.deepEqual([{ ...stdout }, { ...stderr }], [none, none]);
    },
  },
  {
    says: 'bytes are counted, and what is no UTF-8 is replaced',
    check: async ({ once }) => {
      const { stdout } = await once(ALL_BYTES);
      assert.equal(stdout.bytes, 256);
      assert.ok(stdout.text.startsWith('\u0000\u0001\u0002'));
      assert.ok(stdout.text.endsWith('\u{fffd}'));
      assert.ok(stdout.text.isWellFormed());
    },
  },
  {
    says: 'the sink gets every byte of each stream in order',
    check: async ({ once }) => {
      const got: Record<Stream, Buffer[]> = { stdout: [], stderr: [] };
      const onOutput = (stream: Stream, chunk: Buffer) => got[stream].push(Buffer.from(chunk));
      await once(`${ALL_BYTES}; seq 1 20000 >&2`, { onOutput });
      assert.deepEqual(
        [...Buffer.concat(got.stdout)],
        Array.from({ length: 256 }, (_, byte) => byte),
      );
      const numbers = Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join('');
      assert.equal(Buffer.concat(got.stderr).toString(), numbers);
    },
  },
  {
    says: 'the sink hears while the command runs',
    check: async ({ open }) => {
      const sandbox = await open();
      const stop = new AbortController();
      const onOutput = () => stop.abort();
      const { result } = await run(sandbox, 'echo now; sleep 20', { signal: stop.signal, onOutput });
      assert.equal(result, 'cancelled');
    },
  },
  {
    says: 'of much output the head and the tail are kept, and all of it is counted',
    check: async ({ once }) => {
      const { result, stdout } = await once(`echo first; head -c ${LONG} /dev/zero | tr '\\0' x; echo; echo last`);
      assert.equal(result, 'ok');
      assert.equal(stdout.bytes, LONG + 12);
      assert.equal(stdout.truncated, true);
      assert.match(stdout.text, /^first\nx+/);
      assert.ok(stdout.text.endsWith('x\nlast\n'));
      assert.ok(stdout.text.length > 100_000 && stdout.text.length < 150_000, `${stdout.text.length} kept`);
    },
  },
  {
    says: 'nothing of little output is left out',
    check: async ({ once }) => {
      const { stdout } = await once('seq 1 5000');
      assert.equal(stdout.truncated, false);
      assert.equal(stdout.text, Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`).join(''));
    },
  },
  {
    says: 'what a pipeline writes last is not lost at the end',
    check: async ({ open }) => {
      const sandbox = await open();
      for (let round = 0; round < 5; round += 1)
        assert.equal(said(await run(sandbox, 'seq 1 3000 | (cat; echo end)')).slice(-9), '3000\nend'.padStart(9, '\n'));
    },
  },
  {
    says: 'stdin is empty',
    check: async ({ once }) => {
      assert.equal(said(await once('wc -c', { timeoutMs: 5000 })), '0');
    },
  },
  {
    says: 'a command that closes its output goes on',
    check: async ({ open }) => {
      const sandbox = await open();
      assert.equal((await run(sandbox, 'echo a; exec >&- 2>&-; sleep 0.2; : > done; exit 4')).exitCode, 4);
      assert.equal(said(await run(sandbox, 'ls')), 'done');
    },
  },
];
