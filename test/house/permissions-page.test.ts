import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

import { withPermissions } from '../../scripts/build-permissions-table.ts';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

t.test(
  'the page on identity has the table of permissions as it is (node scripts/build-permissions-table.ts)',
  async (t) => {
    const page = read('docs/identity.md');
    t.equal(page, withPermissions(page, read('openapi.yaml')));
  },
);
