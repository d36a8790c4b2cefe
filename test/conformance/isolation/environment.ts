import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { run, type Statement, said, type World } from './statement.ts';

const ALWAYS = ['HOME', 'LANG', 'PATH', 'TMPDIR'];
/** What the shell adds by itself, not its caller. */
const OF_SHELLS = ['PWD', 'OLDPWD', 'SHLVL', '_'];

/** What a command finds in its environment. */
export const ENVIRONMENT: readonly Statement[] = [
  {
    says: 'it is what was asked for, and nothing else',
    needs: ['exactEnvironment'],
    check: async ({ once }) => {
      const done = await once('env | cut -d= -f1', { env: { ASKED: 'x' } });
      const names = said(done).split('\n');
      assert.deepEqual(names.filter((name) => !OF_SHELLS.includes(name)).toSorted(), ['ASKED', ...ALWAYS].toSorted());
    },
  },
  {
    says: 'values arrive byte for byte',
    check: async ({ once }) => {
      const env = {
        LINES: 'a\nb\n',
        QUOTES: `'"$HOME\`\\`,
        UNICODE: 'ü→𝄞',
        EMPTY: '',
        OPTION: '--clearenv',
        SPACES: '  x  ',
      };
      const names = Object.keys(env);
      const print = names.map((name) => `printf '%s|' "\${${name}-unset}"`).join('; ');
      assert.equal(
        said(await once(print, { env })),
        Object.values(env)
          .map((value) => `${value}|`)
          .join(''),
      );
    },
  },
  {
    says: 'HOME and TMPDIR can be written, and PATH finds the usual programs',
    check: async ({ once }) => {
      const done = await once(
        'cd && echo $HOME && touch "$HOME/.x" "$TMPDIR/x" && command -v sh cat ls sed > /dev/null; env -0 | grep -czE "^(LD_|NODE_|npm_)"; true',
      );
      const [home = '', foreign] = said(done).split('\n');
      assert.notEqual(home, '/root');
      assert.equal(foreign, '0');
    },
  },
  {
    says: 'nothing of the service’s environment is found in it',
    check: (world) =>
      withCanary(world, async (canary, sandbox) => {
        assert.equal(said(await run(sandbox, `env | grep -c ${halves(canary)}; true`)), '0');
      }),
  },
  {
    says: 'nor in the environment or the command line of any process that it sees',
    check: (world) =>
      withCanary(world, async (canary, sandbox) => {
        const files = '/proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/self/environ';
        assert.equal(said(await run(sandbox, `cat ${files} 2>/dev/null | grep -ac ${halves(canary)}; true`)), '0');
      }),
  },
  {
    says: 'no command line shows a path of this machine',
    needs: ['namespaces'],
    check: async ({ once }) => {
      const lines = said(await once(`cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'`));
      assert.doesNotMatch(lines, /castellan|bwrap|--bind|setpriv/);
      assert.ok(lines.includes('cmdline'), 'it looked');
    },
  },
  {
    says: 'descriptors 0, 1 and 2 are there, and no other',
    check: async ({ once }) => {
      assert.equal(said(await once('ls /proc/$$/fd; true')), '0\n1\n2');
    },
  },
];

/** A variable of this process that stands for a secret of the service. */
async function withCanary(
  { open }: World,
  check: (canary: string, sandbox: Awaited<ReturnType<World['open']>>) => Promise<void>,
): Promise<void> {
  const canary = `canary-${randomUUID()}`;
  const name = `CASTELLAN_TEST_${canary.replaceAll('-', '_')}`;
  process.env[name] = canary;
  try {
    await check(canary, await open());
  } finally {
    delete process.env[name];
  }
}

/** A pattern for grep that does not match itself in a command line. */
function halves(text: string): string {
  return `'${text.slice(0, -1)}[${text.slice(-1)}]'`;
}
