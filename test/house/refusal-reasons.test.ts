import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

t.test('the page on identity says what each reason of a 401 means', async (t) => {
  const declared = /type UnauthenticatedReason =([^;]+);/.exec(read('src/identity/errors.ts'))?.[1] ?? '';
  const reasons = [...declared.matchAll(/'([A-Z_]+)'/g)].map(([, reason = '']) => reason);
  const section =
    read('docs/identity.md')
      .split(/^### Why a caller was not accepted$/m)[1]
      ?.split(/^##/m)[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  const explained = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([A-Z_]+)`/g)].map(([, name = '']) => name),
  );
  t.ok(reasons.length > 20);
  t.same(explained.sort(), reasons.sort());
});
