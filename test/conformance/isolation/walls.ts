import assert from 'node:assert/strict';
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run, type Statement, said } from './statement.ts';

const NAMESPACES = ['mnt', 'pid', 'net', 'ipc', 'uts'];

/** What a command cannot reach. */
export const WALLS: readonly Statement[] = [
  {
    says: 'it is not root, and of no further group',
    check: async ({ once }) => {
      const [uid, groups = '', own] = said(await once('id -u; id -G; stat -c %u /workspace')).split('\n');
      assert.notEqual(uid, '0');
      assert.doesNotMatch(groups, /(^| )0( |$)/);
      assert.equal(own, uid, 'the working directory is its own');
    },
  },
  {
    says: 'it has no capability and can gain none, and seccomp is on',
    needs: ['confined'],
    check: async ({ once }) => {
      const status = said(await once('cat /proc/self/status'));
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        assert.match(status, new RegExp(`^${set}:\\t0{16}$`, 'm'));
      assert.match(status, /^NoNewPrivs:\t1$/m);
      assert.match(status, /^Seccomp:\t2$/m);
    },
  },
  {
    says: 'its namespaces are its own',
    needs: ['namespaces'],
    check: async ({ once }) => {
      const links = NAMESPACES.map((name) => `readlink /proc/self/ns/${name}`).join('; ');
      const inside = said(await once(links)).split('\n');
      const shared = NAMESPACES.filter((name, i) => inside[i] === readlinkSync(`/proc/self/ns/${name}`));
      assert.deepEqual(shared, []);
      assert.equal(inside.length, NAMESPACES.length);
    },
  },
  {
    says: 'it cannot make namespaces',
    needs: ['namespaces', 'confined'],
    check: async ({ once }) => {
      for (const kind of ['--user', '--mount', '--net', '--pid --fork', '--uts', '--user --map-root-user']) {
        const done = await once(`unshare ${kind} true`);
        assert.equal(done.result, 'failed', `unshare ${kind}`);
        assert.match(done.stderr.text, /not permitted|No space/);
      }
    },
  },
  {
    says: 'it sees few processes, its own',
    needs: ['namespaces'],
    check: async ({ once }) => {
      const pids = said(await once('cd /proc && echo [0-9]*')).split(' ');
      assert.ok(pids.length <= 5, pids.join(' '));
    },
  },
  {
    says: 'without an allowlist there is no network, only lo',
    needs: ['namespaces'],
    check: async ({ once }) => {
      assert.equal(said(await once('tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "')), 'lo');
      assert.equal(said(await once('tail -n +2 /proc/net/route | wc -l')), '0');
    },
  },
  {
    says: 'a listener of this machine cannot be reached',
    check: async ({ once }) => {
      let reached = 0;
      const server = createServer((socket) => {
        reached += 1;
        socket.end('hello\n');
      });
      const { promise, resolve } = Promise.withResolvers<void>();
      server.listen(0, '0.0.0.0', resolve);
      await promise;
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const dial = `exec 3<>/dev/tcp/127.0.0.1/${port} && cat <&3`;
      const done = await once(`bash -c '${dial}' || exit 5`, { timeoutMs: 10_000 }).finally(() => server.close());
      assert.deepEqual([done.exitCode, done.stdout.text, reached], [5, '', 0]);
    },
  },
  {
    says: 'files of the service cannot be read',
    check: async ({ once }) => {
      const dir = mkdtempSync(join(tmpdir(), 'castellan-wall-'));
      try {
        const file = join(dir, 'state');
        writeFileSync(file, 'of the service', { mode: 0o644 });
        assert.equal((await once(`cat ${file} || exit 5`)).stdout.text, '');
        assert.equal((await once(`cat /proc/1/root${file} || exit 5`)).stdout.text, '');
        assert.equal((await once(`ln -s ${file} link && cat link || exit 5`)).stdout.text, '');
      } finally {
        rmSync(dir, { recursive: true });
      }
    },
  },
  {
    says: 'passwords of this machine are not there',
    check: async ({ once }) => {
      // Counted only: where the wall is down, what is behind it belongs in no report.
      const files = '/etc/shadow /etc/gshadow /etc/ssh/ssh_host_* /root/.ssh/* /root/.[a-z]*';
      assert.equal(said(await once(`ls -d ${files} 2>/dev/null | wc -l; cat ${files} 2>/dev/null | wc -c`)), '0\n0');
      assert.equal(said(await once('ls -A /root /home 2>/dev/null | wc -l')), '0');
    },
  },
  {
    says: 'nothing outside of its own directories can be written',
    needs: ['readOnlyRoot'],
    check: async ({ open, marker }) => {
      const sandbox = await open();
      for (const dir of [
        '/',
        '/usr',
        '/usr/bin',
        '/etc',
        '/dev',
        '/proc',
        '/sys',
        '/var',
        '/home',
        '/opt',
        '/var/tmp',
      ]) {
        const done = await run(sandbox, `touch ${dir === '/' ? '' : dir}/${marker} && rm ${dir}/${marker}`);
        assert.notEqual(done.result, 'ok', dir);
      }
    },
  },
  {
    says: 'its host has a name that tells nothing',
    needs: ['namespaces'],
    check: async ({ once }) => {
      assert.equal(said(await once('cat /proc/sys/kernel/hostname')), 'sandbox');
    },
  },
  {
    says: 'it leaves no core dump, and limits cannot be raised',
    needs: ['confined'],
    check: async ({ once }) => {
      assert.equal(said(await once('ulimit -c; ulimit -Hc')), '0\n0');
      assert.notEqual((await once('ulimit -c unlimited && ulimit -Hn 1000000')).result, 'ok');
    },
  },
];
