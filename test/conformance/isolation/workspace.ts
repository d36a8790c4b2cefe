import assert from 'node:assert/strict';

import { run, type Statement, said, seen } from './statement.ts';

/** What the commands of one run share, and what they do not. */
export const WORKSPACE: readonly Statement[] = [
  {
    says: 'commands of a sandbox share its working directory, /workspace',
    check: async ({ open }) => {
      const sandbox = await open();
      assert.equal(said(await run(sandbox, 'pwd; echo one > a; mkdir d; echo two > d/b')), '/workspace');
      assert.equal(said(await run(sandbox, 'cat a d/b /workspace/d/b')), 'one\ntwo\ntwo');
    },
  },
  {
    says: 'it is empty at first',
    check: async ({ once }) => {
      assert.equal(said(await once('ls -A /workspace')), '');
    },
  },
  {
    says: 'what a command writes there can be run by the next one',
    check: async ({ open }) => {
      const sandbox = await open();
      said(await run(sandbox, `printf '#!/bin/sh\\necho ran "$0"\\n' > tool && chmod +x tool`));
      assert.equal(said(await run(sandbox, '/workspace/tool')), 'ran /workspace/tool');
    },
  },
  {
    says: 'files in /tmp and /dev/shm are gone with the command',
    check: async ({ open, marker }) => {
      const sandbox = await open();
      said(await run(sandbox, `echo x > /tmp/${marker}; (echo x > /dev/shm/${marker}) 2>/dev/null; ls /tmp/${marker}`));
      assert.equal(said(await run(sandbox, `ls /tmp /dev/shm | grep ${marker}; true`)), '');
    },
  },
  {
    says: 'processes end with the command that started them',
    check: async ({ open, marker }) => {
      const sandbox = await open();
      const beat = `(setsid sh -c 'n=0; while [ $n -lt 100 ]; do echo x >> beat; sleep 0.05; n=$((n+1)); done; : ${marker}' >/dev/null 2>&1 &)`;
      said(await run(sandbox, `${beat}; while [ ! -s beat ]; do sleep 0.02; done`));
      const first = said(await run(sandbox, 'wc -c < beat'));
      assert.equal(said(await run(sandbox, 'sleep 0.4; wc -c < beat')), first);
    },
  },
  {
    says: 'variables and directories that a command changes stay its own',
    check: async ({ open }) => {
      const sandbox = await open({ env: { SHARED: 'as asked' } });
      said(await run(sandbox, 'mkdir sub; cd sub; export SHARED=changed MORE=1; umask 0777'));
      const [cwd = '', shared = '', more = '', mask = ''] = said(
        await run(sandbox, 'pwd; echo "$SHARED"; echo "<$MORE>"; umask'),
      ).split('\n');
      assert.deepEqual([cwd, shared, more], ['/workspace', 'as asked', '<>']);
      assert.notEqual(Number(mask), 777);
      // The other half: a directory of its own for each sandbox.
      assert.equal(said(await run(await open(), 'ls')), '');
    },
  },
  {
    says: 'sandboxes at the same time do not see each other’s files',
    check: async ({ open, marker }) => {
      const [one, other] = [await open(), await open()];
      const running = run(one, `echo secret > ${marker}; cp ${marker} /tmp/${marker}; echo ready; sleep 1.5`);
      const look = `find /workspace /tmp /var/tmp /dev/shm /run -name ${marker} 2>/dev/null; true`;
      let found = '';
      for (let round = 0; round < 4; round += 1) found += said(await run(other, look));
      assert.equal((await running).result, 'ok');
      assert.equal(found, '');
    },
  },
  {
    says: 'sandboxes at the same time do not see each other’s processes',
    check: async ({ open, marker }) => {
      const [one, other] = [await open(), await open()];
      const stop = new AbortController();
      let ready = false;
      const running = run(one, `echo ready; sleep 20; : ${marker}`, {
        signal: stop.signal,
        onOutput: () => {
          ready = true;
        },
      });
      await seen('it runs', () => ready);
      // The marker is put together inside, or the look would find itself.
      const [left, right] = [marker.slice(0, 10), marker.slice(10)];
      const look = `m=${left}; grep -l "$m""${right}" /proc/[0-9]*/cmdline 2>/dev/null; true`;
      const found = said(await run(other, look));
      stop.abort();
      await running;
      assert.equal(found, '');
    },
  },
  {
    says: 'many at the same time each get their own output',
    check: async ({ open }) => {
      const mine = async (n: number) => {
        const sandbox = await open({ env: { N: String(n) } });
        const written = await run(sandbox, 'echo "$N" > n; sleep 0.2; cat n');
        return said(written) + said(await run(sandbox, 'ls | wc -l; cat n'));
      };
      const all = await Promise.all(Array.from({ length: 6 }, (_, n) => mine(n)));
      assert.deepEqual(
        all,
        all.map((_, n) => `${n}1\n${n}`),
      );
    },
  },
];
