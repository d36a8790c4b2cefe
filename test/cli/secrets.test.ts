import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

import { generated } from '../secrets/samples.ts';
import { cli } from './run.ts';

const ENV = { PATH: process.env['PATH'] };

t.test('secrets scan: exit codes, and never the secret', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-secrets-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const [file, secret] = [join(dir, 'settings.env'), generated(32)];
  await writeFile(file, 'A=1\n');
  t.match(await cli(['secrets', 'scan', dir], ENV), { code: 0, out: '', err: '1 files, 0 findings, 0 allowed\n' });

  await writeFile(file, `A=1\nDB_PASSWORD=${secret}\n`);
  for (const target of [dir, file]) {
    const { code, out, err } = await cli(['secrets', 'scan', target], ENV);
    t.equal(code, 1);
    t.match(out, /^\S+settings\.env:2: generic-secret \([0-9a-f]{8}\)\n$/);
    const json = await cli(['secrets', 'scan', '--json', target], ENV);
    t.equal(json.code, 1);
    t.match(JSON.parse(json.out), { ok: false, files: 1, findings: [{ file, line: 2, kind: 'generic-secret' }] });
    t.notOk([out, err, json.out, json.err].join('').includes(secret));
  }

  await writeFile(join(dir, 'a\u001b[2J.env'), `PASSWORD=${secret}\n`);
  t.notMatch((await cli(['secrets', 'scan', dir], ENV)).out, '\u001b', 'a name does not command the terminal');

  t.equal((await cli(['secrets', 'scan'], ENV)).code, 64);
  t.equal((await cli(['secrets', 'scan', '--nonsense', dir], ENV)).code, 64);
  t.equal((await cli(['secrets', 'scan', join(dir, 'nowhere')], ENV)).code, 3);
  t.match(await cli(['secrets', 'scan', '--help'], ENV), { code: 0, out: /castellan secrets scan/ });
});

t.test('this repository holds no secret that is not listed with its reason', async (t) => {
  const { code, out } = await cli(['secrets', 'scan', fileURLToPath(new URL('../../', import.meta.url))], ENV);
  t.same({ code, out }, { code: 0, out: '' });
});
