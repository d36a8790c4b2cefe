import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import t from 'tap';

import { AFTER, commandScript, IDLE, quoted, readAfterwards } from '../../src/runtime/drivers/kubernetes/scripts.ts';
import { openIsolation } from '../isolation/support/attack.ts';
import { isolationTest } from '../support/isolation.ts';

isolationTest(t);

const after = AFTER.map(quoted).join(' ');

t.test(
  'what comes after a command ends everything else in its process namespace, and empties what is not kept',
  async (t) => {
    const { isolation } = await openIsolation(t);
    const sandbox = await isolation.openSandbox({
      runId: randomUUID(),
      workspaceId: 'w',
      agentId: randomUUID(),
      limits: { cpu: 1, memoryBytes: 128e6, pids: 64, diskBytes: 8e6 },
      env: {},
      allowDomains: [],
      lifetimeMs: 60_000,
    });
    const stubborn = `trap "" TERM HUP; while :; do echo x >> /workspace/beat; sleep 0.05; done`;
    // By exec, as a runtime starts it: it has no parent in here but process 1.
    const command = `
(setsid /bin/sh -c '${stubborn}' &) ; sleep 0.2
mkdir -p /tmp/a/b '/tmp/ odd' /tmp/.hidden; touch /tmp/a/b/c /tmp/-rf; chmod 000 /tmp/a/b
touch /dev/shm/kept
exec ${after}`;
    const run = (text: string) => sandbox.run(text, { timeoutMs: 20_000, signal: AbortSignal.timeout(30_000) });
    const done = await run(command);
    t.match(done, { result: 'ok' });
    t.match(readAfterwards(done.stdout.text), { clean: true, diskFull: false });
    const listed = await run(`exec ${after} && ls /proc`);
    t.match(listed, { result: 'ok' });
    const size = async () => (await run('wc -c < /workspace/beat')).stdout.text;
    t.equal(await size(), await size(), 'nothing writes any more');
    const full = await run(`head -c 20M /dev/zero > /workspace/big; exec ${after}`);
    t.match(readAfterwards(full.stdout.text), { diskFull: true });
    await sandbox.close();
  },
);

t.test('a command cannot end the first process of its pod', async (t) => {
  const kills = 'for signal in TERM INT HUP QUIT KILL; do kill -$signal 1; done; sleep 0.3; echo still there';
  const [, , idle] = IDLE;
  const args = '--unshare-user --unshare-pid --as-pid-1 --ro-bind / / --proc /proc --dev /dev --die-with-parent';
  const script = `(sleep 0.3; ${kills}) & exec /bin/sh -c "$0"`;
  const pod = spawnSync('bwrap', [...args.split(' '), '/bin/sh', '-c', script, idle], {
    timeout: 2000,
    killSignal: 'SIGKILL',
  });
  t.equal(pod.stdout.toString(), 'still there\n');
});

t.test('what it says is read strictly', async (t) => {
  const said = (text: string) => readAfterwards(text);
  t.same(said(''), { clean: false, oomKills: undefined, diskFull: false });
  const df = 'free tmpfs 8192 4096 4096 50% /workspace\ninodes tmpfs 100 5 95 5% /workspace\n';
  t.same(said(`clean\noom_kill 2\n${df}`), { clean: true, oomKills: 2, diskFull: false });
  t.match(said('free tmpfs 8192 8192 0 100% /workspace'), { diskFull: true });
  t.match(said('inodes tmpfs 100 100 0 100% /workspace'), { diskFull: true });
  t.match(said('inodes overlay 0 0 0 - /workspace'), { diskFull: false }, 'a file system without inodes');
  t.match(said('oom_kill -1\noom_kill many'), { oomKills: undefined });
});

t.test('what no shell can be told is told to none', async (t) => {
  const script = (command: string, env: Record<string, string> = {}) =>
    commandScript({ command, env, pids: 8, seconds: 5 });
  t.equal(script('a\0b'), undefined);
  t.equal(script('true', { NAME: 'a\0b' }), undefined);
  t.equal(script('true', { 'A;B': 'x' }), undefined);
  t.match(script(`echo '"$x"'`, { A: `it's` }), /'A=it'\\''s' timeout -s KILL 5 \/bin\/sh -c 'echo '\\''"\$x"'\\'''/);
});
