import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

import t, { type Test } from 'tap';

import { closeInheritedDescriptors } from '../../../src/boot/descriptors.ts';
import { isolationTest } from '../../support/isolation.ts';
import { watchLeftovers } from '../../support/leftovers.ts';
import { until } from '../../support/process.ts';
import { isolationParts, launchTest, openTestSandbox, runOnce } from './support.ts';

isolationTest(t);
closeInheritedDescriptors();
const MIB = 1024 ** 2;
const isRoot = process.getuid?.() === 0;
watchLeftovers(t);
const parts = await isolationParts(t);

/** What a command prints; fails with all that is known when it does not end well. */
async function printed(t: Test, command: string, options = {}): Promise<string> {
  const done = await runOnce(parts, command, options);
  t.equal(done.result, 'ok', JSON.stringify(done));
  return done.stdout.text;
}

t.test('1: neither environment nor command line of any process inside says anything of the service', async (t) => {
  const canary = randomUUID();
  process.env['CASTELLAN_TEST_CANARY'] = canary;
  t.teardown(() => delete process.env['CASTELLAN_TEST_CANARY']);
  const seen = await printed(t, 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr "\\0" "\\n"');
  t.match(seen, /^HOME=\/workspace$/m, 'it looked');
  t.notMatch(seen, new RegExp(canary));
  t.notMatch(seen, /c-iso-|setpriv|--bind|CASTELLAN/);
  t.equal(await printed(t, 'readlink /proc/1/cwd'), '/workspace\n');
});

t.test('1: what the loader and shells act upon is for the command, not for the first process', async (t) => {
  const env = { LD_PRELOAD: '/workspace/odd one.so', BASH_ENV: '/workspace/x', castellan_0: 'theirs', PLAIN: '1' };
  const seen = await printed(t, 'tr "\\0" "\\n" </proc/1/environ; echo --; env', { env });
  const [first, command] = seen.split('--\n');
  t.match(first, /^PLAIN=1$/m, 'it looked');
  t.notMatch(first, /^(?:LD_PRELOAD|BASH_ENV)=/m);
  for (const [name, value] of Object.entries(env)) t.match(command, `\n${name}=${value}\n`);
  t.notMatch(command, /castellan_[1-9]/);
});

t.test('2: a user of its own on the machine, and no right inside', async (t) => {
  const marker = randomUUID();
  const { replica, output } = await launchTest(parts, [
    '/bin/sh',
    '-c',
    `grep -E "^(Cap|NoNew|Seccomp:|Uid)" /proc/self/status; echo ${marker}; sleep 20`,
  ]);
  await until('it runs', () => output().includes(marker));
  const uids = processes().filter(({ command }) => command.includes(marker) && command.startsWith('/bin/sh'));
  t.ok(uids.length > 0);
  for (const { uid } of uids) t.ok(isRoot ? uid >= 310_000 : uid === process.getuid?.(), `uid ${uid}`);
  await replica.stop(0);
  t.match(output(), /^Uid:\t1000\t1000\t1000\t1000$/m);
  t.match(output(), /^NoNewPrivs:\t1$/m);
  t.match(output(), /^Seccomp:\t2$/m);
  for (const name of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) t.match(output(), new RegExp(`^Cap${name}:\t0{16}$`, 'm'));
});

t.test('3: sockets that no namespace holds, and calls around socket(), are refused', async (t) => {
  const families = { vsock: 40, packet: 17, alg: 38, bluetooth: 31, netlinkAudit: 16 };
  for (const [name, family] of Object.entries(families))
    t.equal(
      await printed(t, `perl -e 'socket(S, ${family}, 3, ${family === 16 ? 9 : 0}) and die; print $!+0'`),
      '1',
      name,
    );
  t.equal(await printed(t, `perl -e 'socket(S, 1, 1, 0) or die; socket(S, 2, 1, 0) or die; print 0'`), '0');
  const calls = process.arch === 'x64' ? { io_uring_setup: 425, unshare: 272, keyctl: 250 } : { io_uring_setup: 425 };
  for (const [name, number] of Object.entries(calls))
    t.equal(await printed(t, `perl -e 'syscall(${number}, 8, 0) == -1 or die; print $!+0'`), '1', name);
  if (process.arch === 'x64') t.equal(await printed(t, `perl -e 'syscall(435, 0, 0); print $!+0'`), '38', 'clone3');
});

t.test('4: nothing but the workspace and sized places in memory can be written', async (t) => {
  for (const path of ['/x', '/dev/x', '/etc/x', '/usr/x', '/proc/x', '/dev/pts/x', '/proc/sys/kernel/hostname'])
    t.equal((await runOnce(parts, `echo x > ${path}`)).result, 'failed', path);
  for (const path of ['/tmp', '/dev/shm', '/run']) {
    const limits = { diskBytes: 512 * MIB, memoryBytes: 256 * MIB };
    const done = await runOnce(parts, `head -c 200M /dev/zero > ${path}/x || { echo full; rm ${path}/x; }`, { limits });
    t.match(done, { result: 'ok', stdout: { text: 'full\n' } }, path);
  }
});

t.test('5: descriptors 0, 1 and 2, and no other', async (t) => {
  t.equal(await printed(t, 'ls /proc/$$/fd; :'), '0\n1\n2\n');
  t.equal(await printed(t, 'ls /proc/1/fd; :'), '0\n1\n2\n');
  const { replica, output } = await launchTest(parts, ['/bin/sh', '-c', 'ls /proc/$$/fd /proc/1/fd; :'], {
    secrets: new Map([['a', Buffer.from('x')]]),
    allowDomains: ['example.org'],
  });
  await replica.exited;
  t.equal(output(), '/proc/1/fd:\n0\n1\n2\n\n/proc/3/fd:\n0\n1\n2\n', 'with secrets and a relay as well');
});

t.test('6: standard output and error can be opened again', async (t) => {
  const done = await runOnce(parts, 'echo a > /dev/stdout; echo b > /dev/stderr; echo c >> /proc/self/fd/1');
  t.match(done, { result: 'ok', stdout: { text: 'a\nc\n' }, stderr: { text: 'b\n' } });
});

t.test('7: goes before the service when the machine is out of memory', async (t) => {
  t.equal(await printed(t, 'cat /proc/self/oom_score_adj'), '500\n');
});

t.test('7: limits of processes that hold together: files, processes, descriptors, no core', async (t) => {
  const limits = { diskBytes: 8 * MIB, pids: 40 };
  const text = await printed(t, 'ulimit -c; ulimit -f; ulimit -n; ulimit -l; cat /proc/self/limits', { limits });
  t.ok(text.startsWith(`0\n${(8 * MIB) / 512}\n1024\n64\n`), text);
  t.match(text, /^Max processes +40 +40 /m);
  t.match(text, /^Max msgqueue size +0 +0 /m);
  const raised = await runOnce(parts, 'ulimit -n 4096 || ulimit -f unlimited || ulimit -c 1', { limits });
  t.equal(raised.result, 'failed', 'none can be raised');
  const forks = await runOnce(parts, 'for i in $(seq 80); do sleep 5 & done; wait', { limits });
  t.match(forks.stderr.text, /[Cc]annot fork/);
  const grown = await runOnce(parts, 'head -c 20M /dev/zero > f', { limits });
  t.match(grown, { result: 'disk_limit', signal: 'SIGXFSZ' });
  const spread = await runOnce(parts, 'for i in 1 2 3 4; do head -c 4M /dev/zero > f$i || exit 1; done', { limits });
  if (isRoot) t.equal(spread.result, 'disk_limit', 'many files are no way around it');
});

t.test('a command that begins with a dash is a command', async (t) => {
  const done = await runOnce(parts, '-e 2>/dev/null; echo went on');
  t.match(done, { result: 'ok', stdout: { text: 'went on\n' } });
});

t.test('9: what never began is setup_failed, what did is never', async (t) => {
  const broken = { ...parts, host: { ...parts.host, etcDir: '/nonexistent/secret-name' } };
  const never = await runOnce(broken, 'echo hello');
  t.match(never, { result: 'setup_failed', exitCode: null, stdout: { bytes: 0 }, stderr: { bytes: 0 } });
  t.match(never.problem, /bwrap: .*No such file/);
  t.notMatch(never.problem, /secret-name/);
  for (const code of [1, 125, 126, 127, 255])
    t.match(await runOnce(parts, `exit ${code}`), { result: 'failed', exitCode: code });
  const cut = await runOnce(parts, 'echo a\0; echo b');
  t.match(cut, { result: 'setup_failed' }, 'a NUL');
  const option = await runOnce(parts, 'true', { env: { A: 'x\0--ro-bind\0/\0/workspace' } });
  t.match(option, { result: 'setup_failed' }, 'a NUL in a variable');
});

t.test('10: whatever it starts ends with it, and leaves no zombie', async (t) => {
  const marker = randomUUID();
  const stubborn = `trap "" TERM HUP INT; (setsid sh -c 'trap "" TERM; while :; do sleep 1; done; : ${marker}' &); echo up; while :; do sleep 1; done; : ${marker}`;
  const late = await runOnce(parts, stubborn, { timeoutMs: 700 });
  t.match(late, { result: 'timeout', exitCode: null, stdout: { text: 'up\n' } }, 'what it said is kept');
  t.ok(late.durationMs < 1700, `${late.durationMs} ms`);
  t.same(
    processes().filter(({ command }) => command.includes(marker)),
    [],
  );
  // At every moment of the chain's beginning.
  for (let timeoutMs = 1; timeoutMs <= 31; timeoutMs += 2) {
    const { result } = await runOnce(parts, 'sleep 20', { timeoutMs });
    t.equal(result, 'timeout', `${timeoutMs} ms`);
  }
  t.same(
    processes().filter(({ parent, state }) => parent === process.pid && state === 'Z'),
    [],
  );
});

t.test('10: a cancelled command ends at once; one that was cancelled before never begins', async (t) => {
  const sandbox = await openTestSandbox(parts);
  const stop = new AbortController();
  const running = sandbox.run('echo up; sleep 20', {
    timeoutMs: 10_000,
    signal: stop.signal,
    onOutput: () => stop.abort(),
  });
  t.match(await running, { result: 'cancelled', stdout: { text: 'up\n' } });
  const none = await sandbox.run('touch began', { timeoutMs: 1000, signal: stop.signal });
  t.match(none, { result: 'cancelled', stdout: { bytes: 0 } });
  const { stdout } = await sandbox.run('ls', { timeoutMs: 5000, signal: new AbortController().signal });
  t.equal(stdout.text, '', 'and the sandbox can go on');
  await Promise.all([sandbox.close(), sandbox.close()]);
});

t.test('11: memory is seen by the counter, whatever the exit code says', { skip: !isRoot }, async (t) => {
  const limits = { memoryBytes: 64 * MIB };
  const quiet = await runOnce(parts, 'head -c 600M /dev/zero | tail -c 600M > /dev/null; true', { limits });
  t.equal(quiet.result, 'oom', JSON.stringify(quiet));
  const { result, usage } = await runOnce(parts, 'head -c 20M /dev/zero | tail -c 20M | wc -c', { limits });
  t.equal(result, 'ok');
  t.ok((usage.peakMemoryBytes ?? 0) > 15 * MIB, `${usage.peakMemoryBytes}`);
});

t.test('output without end ends the command, with head and tail', async (t) => {
  const done = await runOnce(parts, 'echo first; yes');
  t.match(done, { result: 'output_limit', exitCode: null, stdout: { truncated: true } });
  t.ok(done.stdout.bytes >= 64 * MIB && done.stdout.bytes < 66 * MIB, `${done.stdout.bytes}`);
  t.ok(done.stdout.text.startsWith('first\ny\n'));
});

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
  readonly uid: number;
  readonly command: string;
}

function processes(): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8');
      const field = (key: string) => new RegExp(`^${key}:\\s+(\\S+)`, 'm').exec(status)?.[1] ?? '';
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8');
      return [
        { pid: Number(name), parent: Number(field('PPid')), state: field('State'), uid: Number(field('Uid')), command },
      ];
    } catch {
      // Ended while we looked.
      return [];
    }
  });
}
