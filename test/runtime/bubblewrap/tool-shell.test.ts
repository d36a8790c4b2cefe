import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

import { createToolShell } from '../../../src/runtime/drivers/bubblewrap/tool-shell.ts';
import { processesWith } from '../../conformance/isolation/statement.ts';

const SH = '/bin/sh';

t.test('tools get their arguments as they are, whatever is in them', async (t) => {
  const shell = createToolShell(SH);
  const dir = await mkdtemp(join(tmpdir(), 'castellan-tools-'));
  t.teardown(() => rm(dir, { recursive: true }));
  for (const name of ['plain', 'with space', `q'uo"te`, '$HOME', '`id`', '*', '-n', 'a\\nb', ';rm', '&& x', 'ü']) {
    await shell.run('/usr/bin/touch', ['--', join(dir, name)]);
    t.ok(existsSync(join(dir, name)), name);
  }
  for (const bad of ['two\nlines', 'a\0b'])
    await t.rejects(shell.run('/usr/bin/touch', [join(dir, bad)]), TypeError, 'what would be a command of its own');
  await shell.close();
});

t.test('what a tool says is its error, in one line', async (t) => {
  const shell = createToolShell(SH);
  await t.rejects(shell.run('/bin/ls', ['/no/such/*/place']), { message: /^failed: .*\/no\/such\/\*\/place.*No such/ });
  const says = String.raw`printf '%s\n' 'a * \n  b'; echo c >&2; exit 3`;
  await t.rejects(shell.run(SH, ['-c', says]), { message: String.raw`failed: a * \n b c` });
  await t.rejects(shell.run('/bin/false', []), { message: 'failed:' });
  await t.rejects(shell.run('/no/such/tool', []), { message: /not found/ });
  await t.resolves(shell.run('/bin/true', []), 'and the next one is heard');
  await shell.close();
});

t.test('files are written beside what runs, and a refusal disturbs nobody', async (t) => {
  const shell = createToolShell(SH);
  const dir = await mkdtemp(join(tmpdir(), 'castellan-tools-'));
  t.teardown(() => rm(dir, { recursive: true }));
  shell.write(join(dir, 'none', 'file'), '0');
  shell.write(join(dir, "q'uote"), '$0 %s');
  await t.resolves(shell.run('/bin/true', []));
  await shell.close();
  t.equal(await readFile(join(dir, "q'uote"), 'utf8'), '$0 %s', 'all is written when it is closed');
});

t.test('many at once are answered in their order', async (t) => {
  const shell = createToolShell(SH);
  const exits = Array.from({ length: 30 }, (_, n) =>
    shell.run(SH, ['-c', `exit ${n % 2}`]).then(
      () => 0,
      () => 1,
    ),
  );
  t.same(
    await Promise.all(exits),
    exits.map((_, n) => n % 2),
  );
  await shell.close();
});

t.test('a shell that is killed fails what waits, and another takes its place', async (t) => {
  const shell = createToolShell(SH);
  const mark = `tool-${process.pid}-${Date.now()}`;
  await t.rejects(shell.run(SH, ['-c', `kill -9 $PPID; : ${mark}`]), { message: /has ended/ });
  await t.resolves(shell.run('/bin/true', []));
  await shell.close();
  await shell.close();
  await t.resolves(shell.run('/bin/true', []), 'also after it was closed');
  await shell.close();
  t.same(processesWith(mark), []);
});
