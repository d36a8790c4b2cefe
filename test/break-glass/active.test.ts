import t from 'tap';

import { createActiveElevations } from '../../src/break-glass/active.ts';
import type { ElevationRow } from '../../src/break-glass/store.ts';

const NOW = Date.parse('2026-01-01T00:00:00.000Z');
const ROW: ElevationRow = {
  workspace_id: 'other',
  id: '0190a6a0-0000-7000-8000-000000000000',
  principal_id: 'olga',
  principal_kind: 'human',
  granted_at: new Date(NOW),
  expires_at: new Date(NOW + 60_000),
  granted_seq: 1,
  ended_at: null,
  end_cause: null,
};

/** A database whose answer the test gives. */
function database() {
  let answer: (rows: readonly ElevationRow[]) => void = () => undefined;
  const system = <T>() =>
    new Promise<T>((resolve) => {
      // The one thing that is asked for.
      answer = (rows) => resolve(rows as T);
    });
  return { system, answer: (rows: readonly ElevationRow[]) => answer(rows) };
}

t.test('one is in force up to its last millisecond, for its holder and its workspace', async (t) => {
  const active = createActiveElevations(database());
  active.add(ROW);
  t.match(active.find('olga', 'other', NOW + 59_999), { id: ROW.id });
  t.equal(active.find('olga', 'other', NOW + 60_000), undefined);
  t.equal(active.find('olga', 'demo', NOW), undefined);
  t.equal(active.find('oleg', 'other', NOW), undefined);
  t.same([active.count(NOW + 59_999), active.count(NOW + 60_000)], [1, 0]);
});

t.test('a look takes over what others did, and finds what is over', async (t) => {
  const db = database();
  const active = createActiveElevations(db);
  const found = active.refresh(NOW + 60_000);
  db.answer([ROW]);
  t.match(await found, [{ id: ROW.id, workspaceId: 'other' }]);
  t.match(active.find('olga', 'other', NOW), { id: ROW.id });
  const none = active.refresh(NOW);
  db.answer([]);
  t.same(await none, []);
  t.equal(active.find('olga', 'other', NOW), undefined, 'ended elsewhere');
});

t.test('a look that began before does not undo what was done here meanwhile', async (t) => {
  const db = database();
  const active = createActiveElevations(db);
  const before = active.refresh(NOW);
  active.add(ROW);
  db.answer([]);
  await before;
  t.match(active.find('olga', 'other', NOW), { id: ROW.id }, 'granted');
  const again = active.refresh(NOW);
  active.remove(ROW.id);
  db.answer([ROW]);
  await again;
  t.equal(active.find('olga', 'other', NOW), undefined, 'ended');
});
