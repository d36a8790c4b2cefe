import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

import { EXAMPLES } from '../../scripts/build-examples.ts';
import { walkthrough } from '../../src/cli/walkthrough.ts';
import { exitWithin, start, testHome } from '../support/process.ts';

const root = new URL('../../', import.meta.url);
const DEMO = fileURLToPath(new URL('scripts/demo.ts', root));
const text = (path: string) => readFileSync(new URL(path, root), 'utf8');

t.test('the README prints the walk that `npm start` prints', async (t) => {
  const section = text('README.md').split('## The walk')[1]?.split('\n## ')[0] ?? '';
  const printed = /```sh\n(.*?)```/s.exec(section)?.[1];
  t.equal(printed, walkthrough({ api: 'https://127.0.0.1:8443', certsDir: 'certs', workspaceId: 'demo' }));
});

t.test('the examples are those of the shipped policy', async (t) => {
  for (const [path, expected] of Object.entries(EXAMPLES)) {
    t.equal(text(path), expected, `${path}: run \`npm run policies:build\``);
  }
});

t.test('the walk, unattended', async (t) => {
  const { tmp } = await testHome(t);
  const demo = start(t, [DEMO], { TMPDIR: tmp });
  const { code } = await exitWithin(demo, 120_000);
  t.equal(code, 0, demo.stderr());
  t.match(demo.stdout(), /Everything as expected\.\n$/);
});
