import t, { type Test } from 'tap';

import type { CommandResult, Isolation } from '../../src/runtime/isolation.ts';
import { isolationTest } from '../support/isolation.ts';
import { openIsolation, openSandbox, runIn } from './support/attack.ts';

isolationTest(t);

/** What a caller can put into a request itself: the command and its environment. */
t.test('commands and variables made to get out of the launcher', async (t) => {
  const { isolation } = await openIsolation(t);
  await t.test('a command of 100 kB runs', async (t) => {
    const done = await command(isolation, `: ${'x'.repeat(100_000)}; echo end`);
    t.match(done, { result: 'ok', stdout: { text: 'end\n' } });
  });
  await t.test('one of 1 MB runs whole, or is setup_failed', async (t) => {
    const done = await orRefused(() => command(isolation, `: ${'x'.repeat(1_000_000)}; echo end`));
    if (done?.result === 'ok') t.equal(done.stdout.text, 'end\n');
    else t.ok(done === undefined || done.result === 'setup_failed', `${done?.result}`);
  });
  await t.test('the empty command, blanks, a comment, options of shells', async (t) => {
    for (const [text, result] of [
      ['', 'ok'],
      ['  \n\t', 'ok'],
      ['# nothing', 'ok'],
      ['-c "echo GOT"', 'failed'],
      ['--', 'failed'],
      ['exit', 'ok'],
      [')', 'failed'],
      ["echo 'open", 'failed'],
    ] as const) {
      const done = await command(isolation, text);
      t.equal(done.result, result, JSON.stringify(text));
      t.notMatch(done.stdout.text, /GOT/);
    }
  });
  await t.test('what is no UTF-16 goes in as something, and breaks nothing', async (t) => {
    const done = await command(isolation, 'printf %s "a\ud800b" | wc -c');
    t.equal(done.result, 'ok');
  });
  await variables(t, isolation);
});

async function variables(t: Test, isolation: Isolation): Promise<void> {
  await t.test('variables of loaders and shells act inside only', async (t) => {
    const env = {
      LD_PRELOAD: '/workspace/none.so',
      LD_LIBRARY_PATH: '/workspace',
      BASH_ENV: '/workspace/x',
      ENV: '/workspace/x',
      PATH: '/workspace:/usr/bin:/bin',
      IFS: 'x',
      PS4: '$(id)',
      GCONV_PATH: '/workspace',
      'BASH_FUNC_ls%%': '() { echo GOT; }',
    };
    const done = await orRefused(() => command(isolation, 'id -u; grep NoNewPrivs /proc/self/status', env));
    t.ok(done === undefined || !/^0$/m.test(done.stdout.text), 'a name that is none may be refused');
    const { 'BASH_FUNC_ls%%': _, ...usable } = env;
    const ran = await command(isolation, 'id -u; grep NoNewPrivs /proc/self/status', usable);
    t.match(ran, { result: 'ok', stdout: { text: /^1000\nNoNewPrivs:\t1\n$/ } });
  });
  await t.test('names and values with NUL, = and options are refused or arrive as they are', async (t) => {
    for (const env of [
      { 'A=B': 'x' },
      { A: 'x\0--bind\0/\0/host' },
      { 'A\0--bind': '/' },
      { '': 'x' },
      { '--bind': '/' },
    ] as Record<string, string>[]) {
      const done = await orRefused(() => command(isolation, 'ls -d /host /workspace', env));
      t.ok(done === undefined || done.result !== 'ok' || done.stdout.text === '/workspace\n', JSON.stringify(env));
      t.notMatch(done?.stdout.text ?? '', /host/);
    }
  });
  await t.test('a megabyte of environment runs, or is setup_failed', async (t) => {
    const env = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`V${n}`, 'y'.repeat(10_000)]));
    const done = await orRefused(() => command(isolation, 'echo "$V99" | wc -c', env));
    if (done?.result === 'ok') t.equal(done.stdout.text, '10001\n');
    else t.ok(done === undefined || done.result === 'setup_failed', `${done?.result}`);
  });
}

async function command(isolation: Isolation, text: string, env: Record<string, string> = {}): Promise<CommandResult> {
  const sandbox = await openSandbox(isolation, { env });
  try {
    return await runIn(sandbox, text, 10_000);
  } finally {
    await sandbox.close();
  }
}

/** Undefined for what is refused as such: a rejection that is a TypeError. */
async function orRefused(work: () => Promise<CommandResult>): Promise<CommandResult | undefined> {
  return work().catch((error: unknown) => {
    if (error instanceof TypeError) return undefined;
    throw error;
  });
}
