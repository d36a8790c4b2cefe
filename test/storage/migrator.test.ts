import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { provisionLogins } from '../../src/storage/logins.ts';
import { MIGRATIONS_FOLDER, migrationNames } from '../../src/storage/migration-files.ts';
import { migrate, migrationState } from '../../src/storage/migrator.ts';
import { ROLES } from '../../src/storage/roles.ts';
import { testDatabase, testStorage } from '../support/database.ts';
import { databaseUrl, LOGINS, withClient } from '../support/postgres.ts';

async function folderOf(t: Test, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'castellan-test-migrations-'));
  t.teardown(() => rm(folder, { recursive: true }));
  for (const [name, sql] of Object.entries(files)) {
    const body = `await db.executeQuery({ sql: ${JSON.stringify(sql)}, parameters: [], query: { kind: 'RawNode' }, queryId: {} });`;
    await writeFile(join(folder, name), `export async function up(db) { ${body} }`);
  }
  return folder;
}

t.test('two migrators at once: one migrates, the other finds it done', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const applied = await Promise.all([migrate(database.ownerUrl), migrate(database.ownerUrl)]);
  const names = await migrationNames(MIGRATIONS_FOLDER);
  t.same(
    applied.map((list) => list.length).sort((a, b) => a - b),
    [0, names.length],
  );
  t.same(applied.flat(), names);
  t.same(await migrate(database.ownerUrl), []);
});

t.test('several new databases of one server at once share its roles', async (t) => {
  const databases = await Promise.all([1, 2, 3].map(() => testDatabase(t, { empty: true })));
  await Promise.all(databases.map((database) => migrate(database.ownerUrl)));
  const { rows } = (await databases[0]?.query(
    `SELECT rolname FROM pg_roles WHERE rolname = ANY($1)
     AND NOT (rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)`,
    [ROLES],
  )) ?? { rows: [] };
  t.equal(rows.length, ROLES.length);
});

t.test('everything belongs to castellan_owner, and nobody else creates in schema public', async (t) => {
  const database = await testDatabase(t);
  const { rows } = await database.query(
    `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S', 'v')
     AND relowner <> 'castellan_owner'::regrole`,
  );
  t.same(rows, []);
  const able = await database.query(
    `SELECT role FROM unnest($1::text[]) AS role WHERE has_schema_privilege(role, 'public', 'CREATE')`,
    [['public', ...ROLES]],
  );
  t.same(able.rows, [{ role: 'castellan_owner' }]);
});

t.test('a database that is behind, or ahead', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const one = await folderOf(t, { '0001-one.js': 'CREATE TABLE one (n int)' });
  await migrate(database.ownerUrl, { folder: one });
  await provisionLogins(database.ownerUrl, LOGINS);
  const storage = testStorage(t, database);
  const state = (folder: string) => storage.system((trx) => migrationState(trx, folder));
  t.equal(await state(one), 'current');

  const two = await folderOf(t, { '0001-one.js': 'SELECT 1', '0002-two.js': 'CREATE TABLE two (n int)' });
  t.same(await state(two), { pending: ['0002-two'] });
  t.same(await migrate(database.ownerUrl, { folder: two }), ['0002-two']);
  t.same(await state(one), { newer: ['0002-two'] });
  await t.rejects(migrate(database.ownerUrl, { folder: one }), { code: 'SCHEMA_NEWER', message: /0002-two/ });
});

t.test('an empty database has everything pending', async (t) => {
  const database = await testDatabase(t, { empty: true });
  await withClient(database.superuserUrl, (client) => client.query('GRANT USAGE ON SCHEMA public TO PUBLIC'));
  const storage = testStorage(t, { ...database, appUrl: database.superuserUrl, systemUrl: database.superuserUrl });
  t.same(await storage.migrationsCurrent(), { pending: await migrationNames(MIGRATIONS_FOLDER) });
});

t.test('a failing migration leaves nothing of the run', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const folder = await folderOf(t, { '0001-good.js': 'CREATE TABLE good (n int)', '0002-bad.js': 'SELECT 1/0' });
  await t.rejects(migrate(database.ownerUrl, { folder }), { code: 'MIGRATION_FAILED', message: /0002-bad/ });
  const { rows } = await database.query(`SELECT to_regclass('good') AS good, to_regclass('kysely_migration') AS kept`);
  t.same(rows, [{ good: null, kept: null }]);
});

t.test('folders that cannot be used', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const cases = {
    'no migration': {},
    'two of one number': { '0001-a.js': 'SELECT 1', '0001-b.js': 'SELECT 1' },
  };
  for (const [why, files] of Object.entries(cases)) {
    const folder = await folderOf(t, files);
    await t.rejects(migrate(database.ownerUrl, { folder }), { code: 'MIGRATIONS_INVALID' }, why);
  }
  const folder = await folderOf(t, {});
  await writeFile(join(folder, '0001-empty.js'), 'export const down = 1;');
  await t.rejects(migrate(database.ownerUrl, { folder }), { code: 'MIGRATIONS_INVALID' }, 'no up');
});

t.test('a login that may not create roles, but finds them created', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const login = { user: `migrator_${database.name}`, password: 'only-for-tests-owner' };
  const create = `CREATE ROLE ${login.user} LOGIN PASSWORD '${login.password}' NOINHERIT`;
  await database.query(
    `${create}; GRANT castellan_owner TO ${login.user}; ALTER DATABASE ${database.name} OWNER TO ${login.user}`,
  );
  t.teardown(async () => {
    await database.drop();
    const url = databaseUrl(database.superuserUrl, 'postgres');
    await withClient(url, (client) => client.query(`DROP ROLE ${login.user}`));
  });
  const ownerUrl = databaseUrl(database.superuserUrl, database.name, login);
  t.same(await migrate(ownerUrl), await migrationNames(MIGRATIONS_FOLDER));
  t.same(await migrate(ownerUrl), []);
  t.same(await migrate(database.superuserUrl), [], 'whichever login runs it again');
});

t.test('declarations beside built migrations are no migrations', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'castellan-test-dist-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await cp(MIGRATIONS_FOLDER, folder, { recursive: true });
  await writeFile(join(folder, '0001-workspaces-and-audit.d.ts'), 'export {};');
  t.same(await migrationNames(folder), await migrationNames(MIGRATIONS_FOLDER));
});
