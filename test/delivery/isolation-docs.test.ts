import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';

import { SETTINGS } from '../../src/config/settings.ts';
import { ROOT } from './support/container.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const PAGES = [
  'docs/isolation.md',
  'docs/runbooks/isolation.md',
  'docs/operations.md',
  'docs/threat-model.md',
  'SECURITY.md',
];

/** How code names the check of an IsolationUnavailable. */
const CHECK = /(?:check: |const check = |refused\(|notHeld\()'([a-z][a-z0-9-]*)'/g;
const FOLDERS = ['src/runtime', 'src/sandbox-runs'];

t.test('every check that can stand in an ISOLATION_UNAVAILABLE is in the list, with its fix', async (t) => {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  );
  const checks = new Set(
    files
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) => [...read(name).matchAll(CHECK)].map(([, one]) => one)),
  );
  const [, list = ''] = read('docs/isolation.md').split('\n## When isolation cannot be had');
  const rows = new Set(
    [...list.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, names]) => names?.match(/[a-z0-9-]+/g) ?? []),
  );
  t.ok(checks.size > 20, `${checks.size} checks are found in the code`);
  t.same(
    [...checks].filter((name) => !rows.has(String(name))),
    [],
    'none is missing',
  );
  t.same(
    [...rows].filter((name) => !checks.has(name)),
    [],
    'none is there that the code does not have',
  );
});

t.test('settings that the pages name are settings', async (t) => {
  for (const page of ['docs/isolation.md', 'docs/runbooks/isolation.md']) {
    const names = new Set(read(page).match(/CASTELLAN_[A-Z0-9_]+[A-Z0-9]/g));
    t.same(
      [...names].filter((name) => !Object.hasOwn(SETTINGS, name.replace(/_FILE$/, ''))),
      [],
      page,
    );
  }
});

t.test('links lead somewhere', async (t) => {
  for (const page of PAGES) {
    for (const [, target = '', anchor] of read(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)) {
      const file = target === '' ? page : join(dirname(page), target);
      t.ok(existsSync(join(ROOT, file)), `${page}: ${target}`);
      if (anchor !== undefined && existsSync(join(ROOT, file))) {
        t.ok(anchorsOf(read(file)).has(anchor), `${page}: ${target}#${anchor}`);
      }
    }
  }
});

/** As GitHub makes them of headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((one) =>
      one
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
