import t from 'tap';

import {
  type ArgumentsRequest,
  bwrapArguments,
  encodeArguments,
} from '../../../src/runtime/drivers/bubblewrap/arguments.ts';
import { sandboxEnvironment } from '../../../src/runtime/drivers/bubblewrap/environment.ts';

const REQUEST: ArgumentsRequest = {
  system: { links: [['/bin', 'usr/bin']], dirs: ['/lib64'], hasAlternatives: true },
  etcDir: '/s/etc',
  toolchains: ['/opt/node'],
  workspaceDir: '/s/1/workspace',
  scratch: { tmp: 10, shm: 20, run: 30 },
  env: { A: 'b' },
};

t.test('every namespace, no right, and an end with the service', async (t) => {
  const args = bwrapArguments(REQUEST);
  for (const name of ['user', 'pid', 'net', 'ipc', 'uts']) t.ok(args.includes(`--unshare-${name}`), name);
  for (const flag of [
    '--disable-userns',
    '--new-session',
    '--die-with-parent',
    '--as-pid-1',
    '--clearenv',
    '--seccomp',
  ])
    t.ok(args.includes(flag), flag);
  t.same(args.slice(args.indexOf('--cap-drop')).slice(0, 2), ['--cap-drop', 'ALL']);
  t.notOk(args.some((arg) => /^--(share-net|dev-bind|cap-add|unshare-user-try)/.test(arg)));
});

t.test('only the workspace is bound to be written, and the rest is sealed after it', async (t) => {
  const args = bwrapArguments({ ...REQUEST, egressSocket: '/s/1/e' });
  const writable = args.flatMap((arg, index) => (arg === '--bind' ? [args.slice(index + 1, index + 3)] : []));
  t.same(writable, [['/s/1/workspace', '/workspace']]);
  const sealed = args.flatMap((arg, index) => (arg === '--remount-ro' ? [args[index + 1]] : []));
  t.same(sealed, ['/dev', '/']);
  t.equal(args.filter((arg) => arg === '--tmpfs').length, args.filter((arg) => arg === '--size').length);
  t.match(args.join(' '), '--ro-bind /s/1/e /run/egress.sock');
});

t.test('secrets are a file system of their own, sealed', async (t) => {
  const secrets = new Map([
    ['a', Buffer.alloc(10)],
    ['b.key', Buffer.alloc(10_000)],
  ]);
  const text = bwrapArguments({ ...REQUEST, secrets }).join(' ');
  t.match(text, '--perms 0500 --size 83738 --tmpfs /run/secrets --perms 0400 --file 8 /run/secrets/a');
  t.match(text, '--perms 0400 --file 9 /run/secrets/b.key --remount-ro /run/secrets');
  for (const name of ['../x', '.x', 'a/b', ''])
    t.throws(() => bwrapArguments({ ...REQUEST, secrets: new Map([[name, Buffer.alloc(1)]]) }), /no name of a file/);
});

t.test('a NUL cannot make an option of a value', async (t) => {
  t.throws(() => encodeArguments(['--setenv', 'A', 'x\0--bind\0/\0/host']), /NUL/);
  const env = { A: 'x\0--share-net' };
  t.throws(() => sandboxEnvironment({ env, toolchains: [], hasEgress: false }), /NUL/);
  t.throws(() => sandboxEnvironment({ env: { 'A=B': '' }, toolchains: [], hasEgress: false }), /name/);
  t.throws(() => sandboxEnvironment({ env: { '': '' }, toolchains: [], hasEgress: false }), /name/);
  t.equal(encodeArguments(['a', '']).toString(), 'a\0\0');
});

t.test('what is asked for goes before what everything gets; the proxy is fixed', async (t) => {
  const env = sandboxEnvironment({
    env: { LANG: 'de', HTTPS_PROXY: 'http://elsewhere' },
    toolchains: ['/opt/n'],
    hasEgress: true,
  });
  t.match(env, { LANG: 'de', HTTPS_PROXY: 'http://127.0.0.1:3128', PATH: '/opt/n/bin:/usr/local/bin:/usr/bin:/bin' });
  const offline = sandboxEnvironment({ env: {}, toolchains: [], hasEgress: false });
  t.same(Object.keys(offline).toSorted(), ['HOME', 'LANG', 'PATH', 'TMPDIR']);
});
