import t from 'tap';
import { type CursorScope, decodeCursor, encodeCursor } from '../../src/http/pagination.ts';
import { ValidationFailed } from '../../src/http/problem.ts';
import fc from '../support/fast-check.ts';

const scope: CursorScope = {
  route: '/agents',
  workspaceId: 'a',
  sort: 'id',
  filters: { mode: 'sandbox', search: undefined },
};

t.test('a cursor comes back as it went', async (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((value) => !value.includes('\0'));
  const part = fc.oneof(text, fc.integer());
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (key) => {
      t.same(decodeCursor(scope, encodeCursor(scope, key)), key);
    }),
    { numRuns: 100 },
  );
});

t.test('filters that are absent do not count, and their order does not', async (t) => {
  const cursor = encodeCursor({ ...scope, filters: { a: 1, b: 2 } }, ['k']);
  t.same(decodeCursor({ ...scope, filters: { b: 2, c: undefined, a: 1 } }, cursor), ['k']);
});

t.test('a cursor belongs to one route, workspace, order and filter', async (t) => {
  const cursor = encodeCursor(scope, ['k']);
  const others: CursorScope[] = [
    { ...scope, route: '/promotions' },
    { ...scope, workspaceId: 'b' },
    { ...scope, sort: 'name' },
    { ...scope, filters: { mode: 'governed' } },
    { ...scope, filters: {} },
  ];
  for (const other of others) t.throws(() => decodeCursor(other, cursor), ValidationFailed);
});

t.test("anything else is the caller's mistake, never ours", async (t) => {
  const parts: unknown = JSON.parse(Buffer.from(encodeCursor(scope, ['k']), 'base64url').toString());
  const [version, sort, digest] = Array.isArray(parts) ? parts : [];
  const forged = [
    [2, sort, digest, ['k']],
    [version, sort, digest, 'k'],
    [version, sort, digest, []],
    [version, sort, digest, ['a\0']],
    [version, sort, digest, [null]],
    [version, sort, digest, [{}]],
    [version, sort, digest, ['a', 'b', 'c', 'd', 'e']],
    [version, sort, digest],
    null,
    {},
  ].map((value) => Buffer.from(JSON.stringify(value)).toString('base64url'));
  for (const cursor of [...forged, '', 'x', '!', 'a'.repeat(2000)]) {
    t.throws(() => decodeCursor(scope, cursor), { code: 'VALIDATION_FAILED' });
  }
  fc.assert(
    fc.property(fc.string(), (cursor) => {
      t.throws(() => decodeCursor(scope, cursor), ValidationFailed);
    }),
    { numRuns: 100 },
  );
});
