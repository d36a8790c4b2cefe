import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lchownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';

import { readKeyFile } from '../../src/signers/drivers/local/key-file.ts';
import { testHome } from '../support/process.ts';

const READER = fileURLToPath(new URL('fixtures/read-key.ts', import.meta.url));
const SERVICE = 10_001;
const STRANGER = 65_534;
const asRoot = { skip: process.getuid?.() !== 0 && 'only root can give a file away' };

/** A secret as the kubelet mounts it: `audit.pem` → `..data/audit.pem`, `..data` → `..2026_11_21`. */
async function mountedSecret(t: Test): Promise<{ mount: string; key: string; target: string }> {
  const mount = join((await testHome(t)).home, 'keys');
  mkdirSync(join(mount, '..2026_11_21'), { recursive: true });
  const target = join(mount, '..2026_11_21', 'audit.pem');
  writeFileSync(target, 'key', { mode: 0o400 });
  symlinkSync('..2026_11_21', join(mount, '..data'));
  const key = join(mount, 'audit.pem');
  symlinkSync('..data/audit.pem', key);
  return { mount, key, target };
}

t.test('a link is followed within its directory', async (t) => {
  const { mount, key } = await mountedSecret(t);
  t.same(await readKeyFile(key), Buffer.from('key'));

  const elsewhere = `${mount}-elsewhere`;
  symlinkSync(mount, elsewhere);
  t.same(await readKeyFile(join(elsewhere, 'audit.pem')), Buffer.from('key'), 'the directory may be a link itself');
});

t.test('a link to anything else is refused', async (t) => {
  const { mount, key, target } = await mountedSecret(t);
  const sub = join(mount, 'sub');
  mkdirSync(sub);
  const cases = { out: target, dangling: 'nothing', loop: 'loop', directory: '.', device: '/dev/null' };
  const expected = { out: 'UNSAFE', dangling: 'UNREADABLE', loop: 'UNSAFE', directory: 'UNSAFE', device: 'UNSAFE' };
  for (const [name, to] of Object.entries(cases)) symlinkSync(to, join(sub, name));
  for (const [name, code] of Object.entries(expected)) {
    await t.rejects(readKeyFile(join(sub, name)), { code: `KEY_FILE_${code}` }, name);
  }
  const sibling = `${mount}-key`;
  writeFileSync(sibling, 'key', { mode: 0o600 });
  symlinkSync(sibling, join(mount, 'sibling'));
  await t.rejects(readKeyFile(join(mount, 'sibling')), { message: /a link out of its directory/ }, 'a longer name');

  for (const mode of [0o440, 0o404, 0o420, 0o402]) {
    chmodSync(target, mode);
    await t.rejects(readKeyFile(key), { message: /open to group or others/ }, mode.toString(8));
  }
});

t.test("a stranger's link is refused, whatever it leads to", asRoot, async (t) => {
  const { key } = await mountedSecret(t);
  lchownSync(key, STRANGER, STRANGER);
  await t.rejects(readKeyFile(key), { code: 'KEY_FILE_UNSAFE', message: /a link of another user/ });
});

/** A file's owner, group and mode → what a process of SERVICE with the group 20,000 besides makes of it. */
const GIVEN: readonly (readonly [why: string, uid: number, gid: number, mode: number, outcome: string])[] = [
  ['defaultMode 0400 with fsGroup', 0, SERVICE, 0o440, 'key'],
  ['defaultMode 0600 with fsGroup', 0, SERVICE, 0o640, 'key'],
  ['a supplementary group', 0, 20_000, 0o440, 'key'],
  ['our own', SERVICE, SERVICE, 0o400, 'key'],
  ['open to all', 0, SERVICE, 0o444, 'KEY_FILE_UNSAFE'],
  ['the group may write', 0, SERVICE, 0o460, 'KEY_FILE_UNSAFE'],
  ['the group may run it', 0, SERVICE, 0o450, 'KEY_FILE_UNSAFE'],
  ['a group that is not ours', 0, 30_000, 0o440, 'KEY_FILE_UNREADABLE'],
  ['our own, open to the group without need', SERVICE, SERVICE, 0o440, 'KEY_FILE_UNSAFE'],
  ['of a stranger', STRANGER, SERVICE, 0o440, 'KEY_FILE_UNSAFE'],
  ['without fsGroup', 0, 0, 0o400, 'KEY_FILE_UNREADABLE'],
];

t.test('what root gave to a group of ours is readable, and nothing wider', asRoot, async (t) => {
  const { mount } = await mountedSecret(t);
  const links = GIVEN.map(([, uid, gid, mode], i) => {
    const target = join(mount, '..2026_11_21', `${i}.pem`);
    writeFileSync(target, 'key');
    chownSync(target, uid, gid);
    chmodSync(target, mode);
    symlinkSync(`..data/${i}.pem`, join(mount, `${i}.pem`));
    return join(mount, `${i}.pem`);
  });
  // Without what tap adds to the environment: the other user may not write in this run's directories.
  const command = ['-i', process.execPath, READER, String(SERVICE), `${SERVICE},20000`, ...links];
  const outcomes: string[] = JSON.parse(execFileSync('env', command, { encoding: 'utf8' }));
  for (const [i, [why, , , , outcome]] of GIVEN.entries()) t.equal(outcomes[i], outcome, why);
});
