import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import t from 'tap';

const MODULE = fileURLToPath(new URL('../../src/boot/descriptors.ts', import.meta.url));
/** Node with one descriptor more, 7; says what it has closed, and whether its own timer and file still work. */
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
  const secret = openSync(join(dir, 'secret'), 'w');
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', SCRIPT], {
    env: {},
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'ignore', 'ignore', 'ignore', secret],
  });
  closeSync(secret);
  t.equal(status, 0, stderr);
  const { before, closed, after } = JSON.parse(stdout);
  t.match(before, /\b7\b/, 'it was there');
  t.ok(closed.includes(7));
  t.equal(after.replaceAll('\n', ' '), '0 1 2');
  t.end();
});
