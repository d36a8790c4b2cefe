import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { matchesGlob } from '../../src/secrets/glob.ts';
import { scanForSecrets } from '../../src/secrets/scan.ts';
import { pemKeys } from './samples.ts';

const ENV = { PATH: process.env['PATH'] };
const [, KEY = ''] = pemKeys()[0] ?? [];
const ALLOW = '.castellan-secrets-allow';

/** Files of these names with a key in each; `contents` says what else is in a file. */
async function tree(t: Test, names: readonly string[], contents: Record<string, string> = {}): Promise<string> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'castellan-test-secrets-')));
  t.teardown(() => rm(dir, { recursive: true }));
  for (const name of [...names, ...Object.keys(contents)]) {
    await mkdir(join(dir, name, '..'), { recursive: true });
    await writeFile(join(dir, name), contents[name] ?? KEY);
  }
  return dir;
}

function git(dir: string, ...args: string[]): void {
  execFileSync('git', ['-C', dir, '-c', 'user.name=test', '-c', 'user.email=test@test.example', ...args], {
    stdio: 'pipe',
  });
}

async function filesWithFindings(dir: string): Promise<string[]> {
  const { findings } = await scanForSecrets([dir], ENV);
  return findings.map(({ file }) => file.slice(dir.length + 1)).sort();
}

t.test('without git: every file, no link, and installed packages by name only', async (t) => {
  const outside = await tree(t, ['outside.pem']);
  const dir = await tree(t, ['a.pem', 'deep/er/.b', 'node_modules/c/key.pem', '.git/config']);
  await symlink(outside, join(dir, 'link'));
  await symlink(join(outside, 'outside.pem'), join(dir, 'link.pem'));
  t.same(await filesWithFindings(dir), ['a.pem', 'deep/er/.b']);
  t.match((await scanForSecrets([dir], ENV)).skipped, [
    { file: join(dir, 'node_modules'), reason: 'installed packages' },
  ]);
  t.same(await filesWithFindings(join(dir, 'node_modules')), ['c/key.pem'], 'named, it is looked through');
});

t.test('in a git tree: what git would commit', async (t) => {
  const dir = await tree(t, ['tracked.pem', 'deleted.pem', 'sub/new.pem', 'ignored/a.pem', 'ignored/forced.pem'], {
    '.gitignore': 'ignored/\n',
  });
  git(dir, 'init', '--quiet');
  git(dir, 'add', '--force', 'tracked.pem', 'deleted.pem', 'ignored/forced.pem');
  await rm(join(dir, 'deleted.pem'));
  t.same(await filesWithFindings(dir), ['ignored/forced.pem', 'sub/new.pem', 'tracked.pem']);
  t.same(await filesWithFindings(join(dir, 'sub')), ['new.pem']);
  const hook = { ...ENV, GIT_DIR: '/nowhere', GIT_INDEX_FILE: '/nowhere' };
  t.equal((await scanForSecrets([dir], hook)).findings.length, 3, 'as a hook is called');
  t.equal((await scanForSecrets([join(dir, 'ignored/a.pem')], ENV)).findings.length, 1, 'a file that is named');
});

t.test('a directory that git ignores is looked through when it is named', async (t) => {
  const dir = await tree(t, ['out/a.pem'], { '.gitignore': 'out/\n' });
  git(dir, 'init', '--quiet');
  t.same(await filesWithFindings(dir), []);
  t.same(await filesWithFindings(join(dir, 'out')), ['a.pem']);
});

t.test('a repository inside, a submodule, and one that is not checked out', { timeout: 60_000 }, async (t) => {
  const module = await tree(t, ['m.pem']);
  git(module, 'init', '--quiet');
  git(module, 'add', '.');
  git(module, 'commit', '--quiet', '--message=m');
  const dir = await tree(t, ['inner/i.pem']);
  git(dir, 'init', '--quiet');
  git(join(dir, 'inner'), 'init', '--quiet');
  git(dir, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', module, 'module');
  t.same(await filesWithFindings(dir), ['inner/i.pem', 'module/m.pem']);
  git(dir, 'submodule', '--quiet', 'deinit', '--force', 'module');
  t.same(await filesWithFindings(dir), ['inner/i.pem']);
});

t.test('a name that cannot be read back is reported, in git and out of it', async (t) => {
  const dir = await tree(t, []);
  await writeFile(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0x41])]), KEY);
  for (const where of ['plain', 'git']) {
    if (where === 'git') git(dir, 'init', '--quiet');
    t.match((await scanForSecrets([dir], ENV)).unreadable, [{ reason: 'ENOENT' }], where);
  }
});

t.test('the allow list', async (t) => {
  const dir = await tree(t, ['test/a.pem', 'test/deep/b.pem', 'src/c.pem']);
  const fingerprint = (await scanForSecrets([dir], ENV)).findings[0]?.fingerprint ?? '';
  const listed = async (text: string, target = dir) => {
    await writeFile(join(dir, ALLOW), text);
    const { findings, allowed } = await scanForSecrets([target], ENV);
    return {
      findings: findings.map(({ file, line, kind }) => `${file.slice(dir.length + 1)}:${line}:${kind}`),
      allowed,
    };
  };
  const found = 'src/c.pem:1:pem-private-key';
  t.same(await listed(`# why\n\ntest/** ${fingerprint} made for tests\n`), { findings: [found], allowed: 2 });
  const unused = await listed(`test/** ${fingerprint} x\nsrc/* 00000000 another key\nlib/* ${fingerprint} gone\n`);
  t.same(unused, {
    findings: [found, `${ALLOW}:2:allow-entry-unused`, `${ALLOW}:3:allow-entry-unused`],
    allowed: 2,
  });
  const malformed = await listed(`** ${fingerprint}\n** ${fingerprint.toUpperCase()}x why\n`);
  t.equal(malformed.allowed, 0, 'no reason, no entry');
  t.same(malformed.findings.slice(3), [`${ALLOW}:1:allow-entry-malformed`, `${ALLOW}:2:allow-entry-malformed`]);

  git(dir, 'init', '--quiet');
  const part = await listed(`test/** ${fingerprint} x\nsrc/* ${fingerprint} y\n`, join(dir, 'src'));
  t.same(part, { findings: [], allowed: 1 }, 'a part of the tree uses the list of the top, and needs not all of it');
  t.same((await scanForSecrets([join(dir, 'src/c.pem')], ENV)).allowed, 1, 'so does a file');
});

t.test('path patterns', async (t) => {
  const yes = [
    'a/b.ts a/b.ts',
    'a/b.ts a/*',
    'a/b.ts **',
    'b.ts **/b.ts',
    'a/.b/c a/**/c',
    'a/c a/**/c',
    'abc a?c',
    'a a**',
  ];
  for (const pair of yes) t.ok(matchesGlob(...split(pair)), pair);
  for (const pair of ['a/b.ts *', 'a/b/c a/*', 'ab/c a/**', 'b a', 'abc a?', 'a/b a/b/c']) {
    t.notOk(matchesGlob(...split(pair)), pair);
  }
});

function split(pair: string): [string, string] {
  const [path = '', glob = ''] = pair.split(' ');
  return [path, glob];
}
