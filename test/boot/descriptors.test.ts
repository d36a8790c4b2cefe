import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import t from 'tap';

const MODULE = fileURLToPath(new URL('../../src/boot/descriptors.ts', import.meta.url));
/**
 * Says what programs had before and have after, and uses what is its own. Node itself closes the low descriptors of others,
 * up to the first gap above 15.
 */
const SCRIPT = `
  import { spawnSync } from 'node:child_process';
  import { openSync, readSync } from 'node:fs';
  import { closeInheritedDescriptors } from ${JSON.stringify(MODULE)};
  const own = openSync(process.execPath, 'r');
  const before = spawnSync('/bin/sh', ['-c', 'ls /proc/$$/fd; :'], { encoding: 'utf8' }).stdout.trim();
  const closed = closeInheritedDescriptors();
  const after = spawnSync('/bin/sh', ['-c', 'ls /proc/$$/fd; :'], { encoding: 'utf8' }).stdout.trim();
  readSync(own, Buffer.alloc(4));
  setTimeout(() => console.log(JSON.stringify({ before, closed, after })), 1);
`;

t.test('a program started later has only its three streams', { skip: process.platform !== 'linux' }, (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'castellan-test-descriptors-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const secret = join(dir, 'secret');
  writeFileSync(secret, 'x');
  const start = ['-c', 'exec 200<"$1"; shift; exec "$@"', 'bash', secret];
  const { status, stdout, stderr } = spawnSync(
    'bash',
    [...start, process.execPath, '--input-type=module', '-e', SCRIPT],
    { env: { PATH: process.env['PATH'] }, encoding: 'utf8' },
  );
  t.equal(status, 0, stderr);
  const { before, closed, after } = JSON.parse(stdout);
  t.match(before, /\b200\b/, 'it was there');
  t.ok(closed.includes(200));
  t.equal(after.replaceAll('\n', ' '), '0 1 2');
  t.end();
});
