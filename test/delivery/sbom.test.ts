import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { testHome } from '../support/process.ts';
import { ROOT, run } from './support/container.ts';

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
}

interface Component {
  readonly group?: string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly unknown[];
}

/** Licences that ask for a notice at most. */
const PERMISSIVE = new Set(['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', '0BSD']);

const manifest: {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
} = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const lock: { packages: Record<string, LockedPackage> } = JSON.parse(
  readFileSync(join(ROOT, 'package-lock.json'), 'utf8'),
);

/** What a production installation may have: `name@version` → licence. Packages of this repository are not among them. */
const shipped = new Map(
  Object.entries(lock.packages)
    .filter(([path, { dev, link }]) => path.includes('node_modules/') && dev !== true && link !== true)
    .map(([path, { version, license }]) => [`${path.split('node_modules/').at(-1)}@${version}`, license ?? '']),
);

/** SPDX: one of the alternatives is enough. */
function isPermissive(license: string): boolean {
  return license
    .replace(/^\((.*)\)$/, '$1')
    .split(' OR ')
    .some((one) => PERMISSIVE.has(one));
}

t.test('nothing that is shipped has a licence that binds what it is used in', async (t) => {
  t.ok(shipped.size > 50, `${shipped.size} packages`);
  t.same(
    [...shipped].filter(([, license]) => !isPermissive(license)),
    [],
  );
  for (const license of ['GPL-3.0-only', 'AGPL-3.0', 'SSPL-1.0', 'BUSL-1.1', 'UNLICENSED', '', 'MIT AND GPL-2.0']) {
    t.notOk(isPermissive(license), license);
  }
});

t.test(
  'the bill of materials has each package that is shipped',
  { skip: manifest.scripts['sbom'] === undefined && 'there is no script `sbom` yet' },
  async (t) => {
    const { home } = await testHome(t);
    const file = join(home, 'sbom.cdx.json');
    await run('npm', ['run', '--silent', 'sbom', '--', '--output-file', file], { cwd: ROOT });
    t.ok(existsSync(file));
    const bom: { bomFormat: string; specVersion: string; metadata: { component: Component }; components: Component[] } =
      JSON.parse(readFileSync(file, 'utf8'));
    t.match(bom, { bomFormat: 'CycloneDX', specVersion: /^1\.[5-9]$/, metadata: { component: { name: 'castellan' } } });
    const listed = bom.components.map(({ group, name, version }) =>
      [group, `${name}@${version}`].filter((part) => part !== undefined).join('/'),
    );
    t.same(
      [...shipped.keys()].filter((name) => !listed.includes(name)),
      [],
      'none is missing',
    );
    for (const [name, version] of Object.entries(manifest.dependencies))
      t.ok(listed.includes(`${name}@${version}`), name);
    const names = new Set(listed.map((one) => one.slice(0, one.lastIndexOf('@'))));
    for (const name of ['tap', 'typescript', 'knip']) t.notOk(names.has(name), `${name} is for development`);
    for (const { name, purl, licenses = [] } of bom.components) {
      t.match(purl, /^pkg:npm\//, name);
      t.not(licenses.length, 0, `${name} has a licence`);
    }
  },
);
