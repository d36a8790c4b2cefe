import t from 'tap';

import { createOutputRate } from '../../../src/runtime/drivers/bubblewrap/output-rate.ts';
import { IsolationUnavailable, RuntimeUnsupported } from '../../../src/runtime/errors.ts';
import { isolationTest } from '../../support/isolation.ts';
import { watchLeftovers } from '../../support/leftovers.ts';
import { until } from '../../support/process.ts';
import { isolationParts, launchTest, type TestReplica } from './support.ts';

isolationTest(t);
watchLeftovers(t);
const parts = await isolationParts(t);

const says = (launched: TestReplica, text: string) => until(text, () => launched.output().includes(text));
const shell = (command: string, options = {}) => launchTest(parts, ['/bin/sh', '-c', command], options);

for (const allowDomains of [[], ['example.org']]) {
  const network = allowDomains.length === 0 ? 'without network' : 'with a relay';

  t.test(`SIGTERM reaches a program that does not handle it, ${network}`, async (t) => {
    const launched = await launchTest(parts, ['sleep', '30'], { allowDomains });
    t.match(await launched.replica.stop(20_000), { cause: 'stopped', exitCode: 143, signal: 'SIGTERM' });
  });

  t.test(`SIGTERM reaches a program that handles it, and only that, ${network}`, async (t) => {
    const launched = await shell(
      'trap "echo bye; exit 5" TERM; (sleep 30) & echo ready; while :; do sleep 0.05; done',
      {
        allowDomains,
      },
    );
    await says(launched, 'ready');
    t.match(await launched.replica.stop(20_000), { cause: 'stopped', exitCode: 5, signal: null });
    t.equal(launched.output(), 'ready\nbye\n');
    t.equal((await launched.replica.stop(0)).exitCode, 5, 'told again');
  });

  t.test(`who ignores it is ended after the grace, or with less of it, ${network}`, async (t) => {
    const launched = await shell('trap "" TERM; echo ready; while :; do sleep 0.05; done', { allowDomains });
    await says(launched, 'ready');
    const long = launched.replica.stop(25_000);
    const at = performance.now();
    t.match(await launched.replica.stop(300), { cause: 'stopped', exitCode: null, signal: 'SIGKILL' });
    t.ok(performance.now() - at < 2000);
    t.equal((await long).cause, 'stopped');
  });
}

t.test('SIGINT is not ignored in it, as it would be in the background of a shell', async (t) => {
  const launched = await shell('grep SigIgn /proc/self/status');
  await launched.replica.exited;
  t.match(launched.output(), /SigIgn:\t0{16}/);
});

t.test(
  'secrets are its own: in files, byte for byte, in no environment, on no disk, and not to be changed',
  async (t) => {
    const value = Buffer.from([0, 10, 255, ...Buffer.from('a-secret-value')]);
    const secrets = new Map([
      ['one', value],
      ['two.key', Buffer.alloc(200_000, 7)],
    ]);
    const launched = await shell(
      [
        'cd /run/secrets; ls -A; od -An -v -tx1 one | tr -d " \\n"; echo; wc -c < two.key',
        'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -ac "a-secre[t]"; grep -c secrets /proc/mounts',
        '(rm one || mv one x || chmod 600 one && echo y > one || echo z > /run/secrets/more) 2>/dev/null || echo sealed',
        'echo ready; sleep 30',
      ].join('\n'),
      { secrets },
    );
    await says(launched, 'ready');
    t.equal(launched.output(), `one\ntwo.key\n${value.toString('hex')}\n200000\n0\n1\nsealed\nready\n`);
    const other = await shell(
      'ls -A /run/secrets; find / -xdev -name two.key 2>/dev/null; grep -c secrets /proc/mounts',
    );
    await other.replica.exited;
    t.match(other.output(), /^0$/m);
    t.notMatch(other.output(), /two\.key/);
    await launched.replica.stop(0);
  },
);

t.test('one that cannot be launched is unavailable, and leaves nothing', async (t) => {
  const broken = { ...parts, host: { ...parts.host, etcDir: '/nonexistent/secret-name' } };
  const used = parts.places.slots.used;
  const failed = await launchTest(broken, ['true']).catch((error: unknown) => error);
  if (!(failed instanceof IsolationUnavailable)) throw failed;
  t.equal(failed.problem.check, 'launch');
  t.match(failed.problem.observed, /bwrap: .*No such file/);
  t.notMatch(failed.problem.observed, /secret-name/);
  await t.rejects(launchTest(parts, []), RuntimeUnsupported);
  await t.rejects(launchTest(parts, ['true'], { env: { A: 'x\0--ro-bind\0/\0/x' } }), /NUL/);
  t.equal(parts.places.slots.used, used);
});

t.test('a program that is not there has exited with 127', async (t) => {
  const launched = await launchTest(parts, ['no-such-program']);
  t.match(await launched.replica.exited, { cause: 'exited', exitCode: 127 });
});

t.test('a word of the shell is no program of its own', async (t) => {
  const launched = await launchTest(parts, ['export', 'A=b']);
  t.match(await launched.replica.exited, { cause: 'exited', exitCode: 127 });
});

t.test('too much output at once is too much; much of it in time is not', async (t) => {
  let now = 0;
  const withinRate = createOutputRate(() => now);
  for (let second = 0; second < 1000; second += 1) {
    now = second * 1000;
    if (!withinRate(20_000_000)) t.fail(`${second} s`);
  }
  now += 20_000;
  t.equal(withinRate(250_000_000), true);
  t.equal(withinRate(50_000_000), false);
});

t.test('what writes without end is ended', async (t) => {
  const launched = await launchTest(parts, ['yes']);
  t.match(await launched.replica.exited, { cause: 'output_limit', exitCode: null });
});
