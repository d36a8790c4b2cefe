import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import { SecretUnavailable } from '../../src/supervisor/errors.ts';
import { createSecretSource } from '../../src/supervisor/secrets.ts';

const dir = t.testdir({
  demo: { token: 'of demo' },
  other: { token: 'of other' },
  outside: 'a file beside the workspaces',
});

const source = createSecretSource({ secretsDir: dir, secretsEnv: new Map([['demo/given', 'from a variable']]) });
const read = async (workspaceId: string, name: string) =>
  (await source.resolve(workspaceId, [name])).get(name)?.toString();

async function refusal(name: string): Promise<string> {
  try {
    await source.resolve('demo', [name]);
  } catch (error) {
    if (error instanceof SecretUnavailable) return error.message;
    throw error;
  }
  return 'it was given';
}

t.test('a secret is a file of its workspace, or a variable', async (t) => {
  t.equal(await read('demo', 'token'), 'of demo');
  t.equal(await read('other', 'token'), 'of other');
  t.equal(await read('demo', 'given'), 'from a variable');
  await t.rejects(read('other', 'given'), { code: 'SECRET_UNAVAILABLE' });
  t.equal(await refusal('nobody'), 'secret nobody: there is no file of it');
  const none = createSecretSource({ secretsDir: undefined, secretsEnv: new Map() });
  await t.rejects(none.resolve('demo', ['token']), { code: 'SECRET_UNAVAILABLE' });
});

t.test('links may stay inside, as a mounted secret has them, and may not lead out', async (t) => {
  const mounted = join(dir, 'mounted');
  await mkdir(join(mounted, '..2026_11_22'), { recursive: true });
  await writeFile(join(mounted, '..2026_11_22', 'token'), 'mounted');
  await symlink('..2026_11_22', join(mounted, '..data'));
  await symlink('..data/token', join(mounted, 'token'));
  t.equal(await read('mounted', 'token'), 'mounted');
  await symlink('../outside', join(dir, 'demo', 'beside'));
  await symlink('../other/token', join(dir, 'demo', 'foreign'));
  await symlink('/etc/hostname', join(dir, 'demo', 'host'));
  for (const name of ['beside', 'foreign', 'host']) {
    t.equal(await refusal(name), `secret ${name}: its file is a link out of the directory`);
  }
  await symlink('/etc', join(dir, 'etc'));
  await t.rejects(source.resolve('etc', ['hostname']), {
    message: 'secret hostname: its file is a link out of the directory',
  });
});

t.test('what is no file, or too large, is refused', async (t) => {
  await mkdir(join(dir, 'demo', 'directory'));
  t.equal(await refusal('directory'), 'secret directory: it is not a regular file');
  await writeFile(join(dir, 'demo', 'large'), '');
  await truncate(join(dir, 'demo', 'large'), 1_048_577);
  t.equal(await refusal('large'), 'secret large: it has more than 1048576 bytes');
  await symlink('/dev/zero', join(dir, 'demo', 'device'));
  t.equal(await refusal('device'), 'secret device: its file is a link out of the directory');
});
