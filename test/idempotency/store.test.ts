import { createHash } from 'node:crypto';
import t from 'tap';

import type { AuditAppender, UnitScope } from '../../src/audit/append.ts';
import { expireKeys } from '../../src/idempotency/expiry.ts';
import type { RequestKey } from '../../src/idempotency/key.ts';
import { deleteExpired, findKept, insertKept, replaceKept, WHOLE } from '../../src/idempotency/store.ts';
import { testDatabase, testStorage } from '../support/database.ts';
import { inside } from '../support/inside.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-11-21T12:00:00.000Z');

const database = await testDatabase(t);
const storage = testStorage(t, database);

const digest = (text: string) => createHash('sha256').update(text).digest();
const keyOf = (workspaceId: string, name: string, body = 'body'): RequestKey => ({
  workspaceId,
  scope: digest(name),
  request: digest(body),
});
const answer = (body: string) => ({ status: 201, headers: { etag: '"1"' }, body });

function keep(key: RequestKey, body: string, now = NOW, chain = key.workspaceId): Promise<boolean> {
  return inside(storage, chain, (trx) => insertKept(trx, key, WHOLE, answer(body), now));
}

function find(key: RequestKey, now = NOW) {
  return storage.read(key.workspaceId, (trx) => findKept(trx, key, now));
}

async function count(): Promise<number> {
  const { rows } = await database.query('SELECT count(*)::int AS n FROM idempotency_keys');
  return rows[0].n;
}

t.test('the first answer stays for a day', async (t) => {
  const key = keyOf('demo', 'first');
  t.same(await find(key), []);
  t.ok(await keep(key, 'one'));
  t.notOk(await keep(key, 'two', NOW + DAY - 1));
  t.same(await find(key, NOW + DAY - 1), [{ item: WHOLE, request: key.request, ...answer('one') }]);
  t.same(await find(key, NOW + DAY), [], 'then it is over, swept or not');
  t.ok(await keep(key, 'three', NOW + DAY));
  t.same(
    (await find(key, NOW + DAY)).map(({ body }) => body),
    ['three'],
  );
  await inside(storage, 'demo', (trx) => replaceKept(trx, key, answer('four')));
  t.same(
    (await find(key, NOW + DAY)).map(({ body }) => body),
    ['four'],
  );
});

t.test('row-level security keeps workspaces apart', async (t) => {
  const key = keyOf('demo', 'apart');
  await keep(key, 'of demo');
  const from = (workspaceId: string) => storage.read(workspaceId, (trx) => findKept(trx, key, NOW));
  t.equal((await from('demo')).length, 1);
  t.same(await from('other'), [], 'another workspace does not see it, even when it asks for it');
  await t.rejects(keep(key, 'forged', NOW, 'other'), /row-level security/);
  await inside(storage, 'other', (trx) => deleteExpired(trx, 'demo', [key.scope], new Date(NOW + 2 * DAY)));
  t.equal((await from('demo')).length, 1, 'nor can it have it forgotten');
  t.ok(await keep(keyOf('other', 'apart'), 'of other'), 'the same key is free there');
});

t.test('what belongs to no workspace is kept under _system, from the unit of a new workspace too', async (t) => {
  const key = keyOf('_system', 'create');
  t.ok(await keep(key, 'created', NOW, 'brand-new'));
  t.equal((await find(key)).length, 1);
  t.notOk(await keep(key, 'created', NOW, 'another-new'));
  const own = await inside(storage, 'brand-new', async (trx) => {
    await insertKept(trx, keyOf('_system', 'again'), WHOLE, answer('x'), NOW);
    return insertKept(trx, keyOf('brand-new', 'after'), WHOLE, answer('y'), NOW);
  });
  t.ok(own, "the rest of the transaction is the workspace's again");
});

t.test('keys that are over are forgotten, workspace by workspace', async (t) => {
  await database.query('DELETE FROM idempotency_keys');
  for (let n = 0; n < 620; n += 1) await keep(keyOf(n % 2 === 0 ? 'demo' : 'other', `old ${n}`), 'old');
  await keep(keyOf('demo', 'young'), 'young', NOW + DAY);
  const chains: string[] = [];
  const audit = auditOf(async (chain) => void chains.push(chain));
  await expireKeys({ storage, audit, clock: () => NOW + DAY - 1 }, AbortSignal.timeout(60_000));
  t.equal(await count(), 621, 'none a moment too early');
  await expireKeys({ storage, audit, clock: () => NOW + DAY }, AbortSignal.timeout(60_000));
  t.equal(await count(), 1);
  t.same(chains.sort(), ['demo', 'demo', 'other', 'other'], 'in rounds');
});

t.test('a workspace that cannot be written holds up no other', async (t) => {
  await keep(keyOf('demo', 'one'), 'old');
  await keep(keyOf('other', 'two'), 'old');
  const audit = auditOf(async (chain) => {
    if (chain === 'demo') throw new Error('its chain is not available');
  });
  const round = expireKeys({ storage, audit, clock: () => NOW + DAY }, AbortSignal.timeout(60_000));
  await t.rejects(round, /not available/);
  t.same(await find(keyOf('other', 'two'), NOW - DAY), []);
  t.equal((await find(keyOf('demo', 'one'))).length, 1);
});

/** Units as transactions of their own; `first` runs before each. */
function auditOf(first: (chain: string) => Promise<void>): Pick<AuditAppender, 'commit'> {
  return {
    commit: async (unit) => {
      await first(unit.chain);
      if (!('work' in unit)) throw new Error('no prepared unit is expected');
      const append: UnitScope['append'] = () => {
        throw new Error('no event is expected');
      };
      return inside(storage, unit.chain, (trx) => unit.work({ trx, now: NOW, append }));
    },
  };
}
