import assert from 'node:assert/strict';
import { createServer } from 'node:net';

import { goneWithin, LIMITS, processesWith, type Statement, seen } from './statement.ts';

const MIB = 1024 * 1024;
const SLACK_MS = 3000;
const needs = ['localAgents'] as const;

/** Processes of agents. */
export const REPLICAS: readonly Statement[] = [
  {
    says: 'one that ends by itself has exited, with its code and all of its output',
    needs,
    check: async ({ launch }) => {
      const { replica, output } = await launch('seq 1 5000; echo problem >&2; exit 3');
      const { cause, exitCode, signal } = await replica.exited;
      assert.deepEqual({ cause, exitCode, signal }, { cause: 'exited', exitCode: 3, signal: null });
      assert.equal(output(), Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`).join(''));
      assert.equal(output('stderr'), 'problem\n');
    },
  },
  {
    says: 'one that ends well has exited with 0',
    needs,
    check: async ({ launch }) => {
      const { cause, exitCode } = await (await launch(['/bin/true'])).replica.exited;
      assert.deepEqual({ cause, exitCode }, { cause: 'exited', exitCode: 0 });
    },
  },
  {
    says: 'its output is heard while it runs',
    needs,
    check: async ({ launch }) => {
      const { replica, output } = await launch('echo ready; sleep 20');
      await seen('output', () => output() === 'ready\n');
      const ended = await Promise.race([replica.exited.then(() => true), Promise.resolve(false)]);
      assert.equal(ended, false);
    },
  },
  {
    says: 'program and arguments are taken as they are, without a shell',
    needs,
    check: async ({ launch }) => {
      const args = ['a  b', '$HOME', '`id`', `q'"uo`, '', '--', '*', 'ü\n'];
      const { replica, output } = await launch(['/usr/bin/printf', '%s|', ...args]);
      await replica.exited;
      assert.equal(Buffer.from(output(), 'latin1').toString(), args.map((arg) => `${arg}|`).join(''));
    },
  },
  {
    says: 'SIGTERM reaches it first, and it may end by itself: stopped, with its code',
    needs,
    check: async ({ launch }) => {
      const { replica, output } = await launch(
        `trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done`,
      );
      await seen('ready', () => output().includes('ready'));
      const { cause, exitCode } = await replica.stop(10_000);
      assert.deepEqual(
        { cause, exitCode, output: output() },
        { cause: 'stopped', exitCode: 5, output: 'ready\nbye\n' },
      );
    },
  },
  {
    says: 'one that ignores SIGTERM ends after the grace, with its whole tree',
    needs,
    check: async ({ launch, marker }) => {
      const { replica, output } = await launch(
        `trap '' TERM; (setsid sh -c 'trap "" TERM; sleep 20; : ${marker}' &) ; echo ready; while :; do sleep 0.1; done; : ${marker}`,
      );
      await seen('ready', () => output().includes('ready'));
      const at = performance.now();
      const { cause, exitCode } = await replica.stop(600);
      const took = performance.now() - at;
      assert.deepEqual({ cause, exitCode }, { cause: 'stopped', exitCode: null });
      assert.ok(took >= 590 && took < 600 + SLACK_MS, `${took} ms`);
      await goneWithin(marker, 200);
    },
  },
  {
    says: 'no grace is the end at once',
    needs,
    check: async ({ launch, marker }) => {
      const { replica, output } = await launch(`trap 'sleep 20; : ${marker}' TERM; echo ready; sleep 20; : ${marker}`);
      await seen('ready', () => output().includes('ready'));
      const at = performance.now();
      assert.equal((await replica.stop(0)).cause, 'stopped');
      assert.ok(performance.now() - at < 2000, `${performance.now() - at} ms`);
      await goneWithin(marker, 200);
    },
  },
  {
    says: 'grace can be taken back',
    needs,
    check: async ({ launch }) => {
      const { replica, output } = await launch(`trap '' TERM; echo ready; while :; do sleep 0.1; done`);
      await seen('ready', () => output().includes('ready'));
      const slow = replica.stop(25_000);
      const at = performance.now();
      const [first, second] = await Promise.all([slow, replica.stop(100)]);
      assert.ok(performance.now() - at < 100 + SLACK_MS, `${performance.now() - at} ms`);
      assert.deepEqual([first.cause, second.cause], ['stopped', 'stopped']);
    },
  },
  {
    says: 'stopping one that has ended tells how it ended',
    needs,
    check: async ({ launch }) => {
      const { replica } = await launch('exit 4');
      await replica.exited;
      const { cause, exitCode } = await replica.stop(1000);
      assert.deepEqual({ cause, exitCode }, { cause: 'exited', exitCode: 4 });
    },
  },
  {
    says: 'one that dies of a signal has exited, and it is named',
    needs,
    check: async ({ launch }) => {
      const { cause, signal } = await (await launch('sleep 0.1; kill -ABRT $$; sleep 5')).replica.exited;
      assert.deepEqual({ cause, signal }, { cause: 'exited', signal: 'SIGABRT' });
    },
  },
  {
    says: 'what its first process leaves running ends with it',
    needs,
    check: async ({ launch, marker }) => {
      const { replica } = await launch(
        `(setsid sh -c 'trap "" TERM HUP; sleep 20; : ${marker}' >/dev/null 2>&1 &); sleep 0.1`,
      );
      await replica.exited;
      await goneWithin(marker, 200);
    },
  },
  {
    says: 'one that wants more memory than it has is oom',
    needs: ['localAgents', 'limits'],
    check: async ({ launch }) => {
      const limits = { ...LIMITS, memoryBytes: 64 * MIB };
      const { replica } = await launch('head -c 300M /dev/zero | tail -c 300M | wc -c; exit 1', { limits });
      assert.equal((await replica.exited).cause, 'oom');
    },
  },
  {
    says: 'its secrets are files of /run/secrets, byte for byte, and in no environment',
    needs,
    check: async ({ launch }) => {
      const secret = Buffer.from([0, 255, 10, 13, 36, 65]);
      const { replica, output } = await launch(
        'cd /run/secrets && ls -A && od -An -v -tx1 api.key && cat second; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -ac "secon[d] value"; true',
        {
          secrets: new Map([
            ['api.key', secret],
            ['second', Buffer.from('second value\n')],
          ]),
        },
      );
      await replica.exited;
      assert.equal(output(), 'api.key\nsecond\n 00 ff 0a 0d 24 41\nsecond value\n0\n');
    },
  },
  {
    says: 'the secrets of one are not seen by another',
    needs,
    check: async ({ launch }) => {
      const holder = await launch('cat /run/secrets/key; echo ready; sleep 20', {
        secrets: new Map([['key', Buffer.from('hidden value ')]]),
      });
      await seen('ready', () => holder.output() === 'hidden value ready\n');
      const other = await launch(
        'ls -A /run/secrets 2>/dev/null; grep -ral "hidden [v]alue" /run /tmp /workspace /dev/shm /var 2>/dev/null; echo looked',
      );
      await other.replica.exited;
      assert.equal(other.output(), 'looked\n');
    },
  },
  {
    says: 'secrets cannot be changed by their agent',
    needs,
    check: async ({ launch }) => {
      const { replica, output } = await launch(
        '(echo x > /run/secrets/key) 2>/dev/null; rm -f /run/secrets/key 2>/dev/null; cat /run/secrets/key',
        {
          secrets: new Map([['key', Buffer.from('kept')]]),
        },
      );
      await replica.exited;
      assert.equal(output(), 'kept');
    },
  },
  {
    says: 'its environment is what was asked for and the usual, with nothing of the service',
    needs: ['localAgents', 'exactEnvironment'],
    check: async ({ launch }) => {
      const { replica, output } = await launch(['/usr/bin/env'], { env: { ASKED: 'a b' } });
      await replica.exited;
      const names = output()
        .split('\n')
        .filter((line) => line !== '');
      assert.deepEqual(
        names
          .map((line) => line.split('=')[0])
          .filter((name) => name !== 'PWD')
          .toSorted(),
        ['ASKED', 'HOME', 'LANG', 'PATH', 'TMPDIR'],
      );
      assert.ok(names.includes('ASKED=a b'));
    },
  },
  {
    says: 'without an allowlist nothing can be reached, and nothing is decided',
    needs,
    check: async ({ launch }) => {
      let reached = 0;
      const server = createServer((socket) => {
        reached += 1;
        socket.end('hello\n');
      });
      const { promise, resolve } = Promise.withResolvers<void>();
      server.listen(0, '127.0.0.1', resolve);
      await promise;
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const { replica, output } = await launch(
        `bash -c 'exec 3<>/dev/tcp/127.0.0.1/${port} && cat <&3' 2>/dev/null || echo refused; env | grep -ci proxy`,
      );
      await replica.exited.finally(() => server.close());
      assert.deepEqual([output(), reached], ['refused\n0\n', 0]);
      assert.deepEqual([...replica.egress], []);
    },
  },
  {
    says: 'its working directory is its own, writable and bounded',
    needs: ['localAgents', 'limits'],
    check: async ({ launch }) => {
      const { replica, output } = await launch('pwd; ls -A; echo x > f; head -c 60M /dev/zero > big || echo full', {
        limits: { ...LIMITS, diskBytes: 16 * MIB },
      });
      await replica.exited;
      assert.equal(output(), '/workspace\nfull\n');
    },
  },
  {
    says: 'replicas do not see each other',
    needs,
    check: async ({ launch, marker }) => {
      const one = await launch(`echo x > /tmp/${marker}; echo ready; sleep 20; : ${marker}`);
      await seen('ready', () => one.output().includes('ready'));
      const [left, right] = [marker.slice(0, 10), marker.slice(10)];
      const other = await launch(
        `m=${left}; grep -l "$m""${right}" /proc/[0-9]*/cmdline 2>/dev/null; ls /tmp | grep "$m"; echo looked`,
      );
      await other.replica.exited;
      assert.equal(other.output(), 'looked\n');
    },
  },
  {
    says: 'all end when the whole is closed, and nothing is left',
    needs,
    check: async ({ fresh, launch, watch, marker }) => {
      const nothingCame = watch?.();
      const isolation = await fresh();
      const replicas = [];
      for (let n = 0; n < 2; n += 1)
        replicas.push(await launch(`trap '' TERM; echo ready; sleep 20; : ${marker}`, {}, isolation));
      await seen('both run', () => processesWith(marker).length >= 2);
      await isolation.close();
      await goneWithin(marker, 200);
      for (const { replica } of replicas) assert.equal((await replica.exited).cause, 'stopped');
      await nothingCame?.().catch((error: unknown) => assert.fail(String(error)));
    },
  },
];
