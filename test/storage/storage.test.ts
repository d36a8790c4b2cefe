import { sql } from 'kysely';
import pg from 'pg';
import t, { type Test } from 'tap';

import type { Trx } from '../../src/storage/database.ts';
import { asUnavailable, isUniqueViolation } from '../../src/storage/pg-errors.ts';
import { createStorage } from '../../src/storage/storage.ts';
import { type TestDatabase, testDatabase, testStorage } from '../support/database.ts';
import { inside } from '../support/inside.ts';
import { quiet } from '../support/postgres.ts';
import { addProbe } from './probe.ts';

declare module '../../src/storage/database.ts' {
  interface Database {
    probe: { workspace_id: string; id: number };
  }
}

async function probed(test: Test, poolSize?: number) {
  const database = await testDatabase(test);
  await addProbe(database);
  return { database, storage: testStorage(test, database, poolSize) };
}

const allRows = (trx: Trx) => trx.selectFrom('probe').selectAll().orderBy('id').execute();

t.test('a transaction sees its workspace only, even without WHERE', async (t) => {
  const { storage } = await probed(t);
  await inside(storage, 'a', (trx) => trx.insertInto('probe').values({ workspace_id: 'a', id: 1 }).execute());
  await inside(storage, 'b', (trx) => trx.insertInto('probe').values({ workspace_id: 'b', id: 2 }).execute());
  t.same(await storage.read('a', allRows), [{ workspace_id: 'a', id: 1 }]);
  t.same(await storage.read('b', allRows), [{ workspace_id: 'b', id: 2 }]);
  t.same(await storage.read('_system', allRows), []);
  t.equal((await storage.system(allRows)).length, 2, 'the system role reads across workspaces');
  await t.rejects(
    inside(storage, 'a', (trx) => trx.insertInto('probe').values({ workspace_id: 'b', id: 3 }).execute()),
    { code: '42501' },
    'writing into another workspace is refused',
  );
});

t.test('the workspace does not leak to the next user of a connection', async (t) => {
  const { database, storage } = await probed(t, 1);
  await inside(storage, 'a', (trx) => trx.insertInto('probe').values({ workspace_id: 'a', id: 1 }).execute());
  const client = new pg.Client({ connectionString: database.appUrl, options: '-c role=castellan_app' });
  await client.connect();
  t.teardown(() => client.end());
  await client.query("BEGIN; SELECT set_config('castellan.workspace', 'a', true); COMMIT");
  t.equal((await client.query('SELECT FROM probe')).rowCount, 0, 'after the transaction nothing is visible');
  await t.rejects(
    inside(storage, 'a', () => Promise.reject(new Error('no'))),
    { message: 'no' },
  );
  t.same(await storage.read('b', allRows), []);
  t.equal(storage.stats().app.total, 1, 'one connection served them all');
});

t.test('every login runs as the restricted role, the superuser and one with options in its URL too', async (t) => {
  const { database } = await probed(t);
  for (const suffix of ['', '?options=-c%20role%3Dnone']) {
    const url = database.superuserUrl + suffix;
    const storage = createStorage({ appUrl: url, systemUrl: url, poolSize: 2, logger: quiet });
    const roles = sql<{
      role: string;
      super: string;
    }>`SELECT current_user AS role, current_setting('is_superuser') AS super`;
    t.same((await storage.read('a', (trx) => roles.execute(trx))).rows, [{ role: 'castellan_app', super: 'off' }]);
    t.same((await storage.system((trx) => roles.execute(trx))).rows, [{ role: 'castellan_system', super: 'off' }]);
    await storage.close();
  }
});

t.test('a connection that has left its role is refused and destroyed', async (t) => {
  const { database } = await probed(t);
  const storage = createStorage({
    appUrl: database.superuserUrl,
    systemUrl: database.superuserUrl,
    poolSize: 1,
    logger: quiet,
  });
  t.teardown(() => storage.close());
  await inside(storage, 'a', (_trx, client) => client.query('SET SESSION ROLE none'));
  await t.rejects(storage.read('a', allRows), { code: 'ROLE_NOT_APPLIED' });
  t.same(await storage.read('a', allRows), [], 'the next connection is a new one');
});

t.test('reads and the system role cannot write', async (t) => {
  const { storage } = await probed(t);
  const write = (trx: Trx) => trx.insertInto('probe').values({ workspace_id: 'a', id: 1 }).execute();
  await t.rejects(storage.read('a', write), { code: 'DATABASE_UNAVAILABLE', cause: { code: '25006' } });
  await t.rejects(storage.system(write));
  t.same(await storage.system(allRows), []);
});

t.test('only a workspace id is put into SQL', async (t) => {
  const { storage } = await probed(t);
  for (const id of ['', 'A', "a', true); --", 'a\n', '_other', 'a'.repeat(64)]) {
    await t.rejects(storage.read(id, allRows), { code: 'INVALID_WORKSPACE' }, JSON.stringify(id));
    await t.rejects(inside(storage, id, allRows), { code: 'INVALID_WORKSPACE' });
  }
});

t.test('a transaction is kept whole or not at all', async (t) => {
  const { storage } = await probed(t);
  const insert = (trx: Trx) => trx.insertInto('probe').values({ workspace_id: 'a', id: 1 }).execute();
  const swallowing = inside(storage, 'a', async (trx) => {
    await insert(trx);
    await sql`SELECT 1/0`.execute(trx).catch(() => undefined);
  });
  await t.rejects(swallowing, { code: 'TRANSACTION_ABORTED' }, 'a swallowed failure is not a success');
  await t.rejects(
    inside(storage, 'a', (trx) => trx.transaction().execute(async () => undefined)),
    { code: 'TRANSACTION_MISUSED' },
  );
  t.same(await storage.system(allRows), []);
  await inside(storage, 'a', insert);
  const again = await inside(storage, 'a', insert).catch((error: unknown) => error);
  t.ok(isUniqueViolation(again));
  t.ok(isUniqueViolation(again, 'probe_pkey'));
  t.notOk(isUniqueViolation(again, 'other'));
  t.equal(asUnavailable(again), undefined);
});

t.test('statements of one transaction may be started together, and none after it', async (t) => {
  const { storage } = await probed(t);
  let warnings = 0;
  const count = () => {
    warnings += 1;
  };
  process.on('warning', count);
  t.teardown(() => process.off('warning', count));
  const kept = await storage.read('a', async (trx) => {
    t.same((await Promise.all([allRows(trx), allRows(trx)])).flat(), []);
    return { trx };
  });
  await t.rejects(allRows(kept.trx), { code: 'TRANSACTION_ENDED' });
  t.equal(warnings, 0, 'the driver never sees two at once');
});

t.test('columns arrive as documented', async (t) => {
  const { storage } = await probed(t);
  const query = sql`SELECT 9007199254740991::bigint AS big, ARRAY[1, NULL]::bigint[] AS bigs, 1.5::numeric AS num,
    '2026-01-02T03:04:05.678Z'::timestamptz AS ts, '2026-01-02'::date AS day, '{"a":[1]}'::jsonb AS doc, '\\x00ff'::bytea AS raw`;
  t.same((await storage.read('a', (trx) => query.execute(trx))).rows, [
    {
      big: 9007199254740991,
      bigs: [1, null],
      num: '1.5',
      ts: new Date('2026-01-02T03:04:05.678Z'),
      day: '2026-01-02',
      doc: { a: [1] },
      raw: Buffer.from([0, 255]),
    },
  ]);
  for (const value of ['9007199254740992', '-9223372036854775808']) {
    const large = sql`SELECT ${sql.raw(`'${value}'`)}::bigint`;
    await t.rejects(
      storage.read('a', (trx) => large.execute(trx)),
      { code: 'NUMBER_TOO_LARGE' },
      value,
    );
  }
});

t.test('an exhausted pool answers within 2 s, and serves again', async (t) => {
  const { storage } = await probed(t, 1);
  const gate = Promise.withResolvers<void>();
  const holding = storage.read('a', () => gate.promise);
  const started = Date.now();
  await t.rejects(storage.read('a', allRows), { code: 'DATABASE_UNAVAILABLE' });
  t.ok(Date.now() - started <= 2000);
  gate.resolve();
  await holding;
  t.same(await storage.read('a', allRows), []);
});

t.test('a lock that is not given is retryable', async (t) => {
  const { database, storage } = await probed(t);
  const client = new pg.Client(database.superuserUrl);
  await client.connect();
  t.teardown(() => client.end());
  await client.query('BEGIN; LOCK TABLE probe');
  await t.rejects(storage.read('a', allRows), { code: 'DATABASE_UNAVAILABLE', retryable: true });
  await client.query('ROLLBACK');
  t.same(await storage.read('a', allRows), []);
});

t.test('a connection cut inside a transaction, or before COMMIT is answered', async (t) => {
  const { database, storage } = await probed(t);
  const cut = inside(storage, 'a', async (trx, client) => {
    await trx.insertInto('probe').values({ workspace_id: 'a', id: 1 }).execute();
    await terminate(database, client);
    return allRows(trx);
  });
  await t.rejects(cut, { code: 'DATABASE_UNAVAILABLE', outcomeUnknown: false });
  const lost = inside(storage, 'a', async (trx, client) => {
    await trx.insertInto('probe').values({ workspace_id: 'a', id: 2 }).execute();
    await terminate(database, client);
  });
  await t.rejects(lost, { code: 'DATABASE_UNAVAILABLE', outcomeUnknown: true });
  t.same(await storage.system(allRows), [], 'neither was kept');
  await storage.ping();
});

t.test('migrations are current, and the pools close once', async (t) => {
  const { storage } = await probed(t);
  t.equal(await storage.migrationsCurrent(), 'current');
  await Promise.all([storage.close(), storage.close()]);
  await t.rejects(storage.ping(), { code: 'DATABASE_UNAVAILABLE' });
});

async function terminate(database: TestDatabase, client: pg.PoolClient): Promise<void> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  client.once('end', () => resolve());
  await database.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
  await ended;
}
