import { sql } from 'kysely';
import t from 'tap';

import { systemBinaries } from '../../src/storage/embedded/binaries.ts';
import { checkLogin } from '../../src/storage/login-check.ts';
import { provisionLogins } from '../../src/storage/logins.ts';
import { MIGRATIONS_FOLDER, migrationNames } from '../../src/storage/migration-files.ts';
import { migrate } from '../../src/storage/migrator.ts';
import { testDatabase, testStorage } from '../support/database.ts';
import { inside } from '../support/inside.ts';
import { databaseUrl, LOGINS, serverOf, withClient } from '../support/postgres.ts';
import { addProbe } from './probe.ts';

const installed = await systemBinaries();

for (const binaries of [undefined, ...installed]) {
  t.test(`a database owner who may create roles, on a new server (${binaries?.major ?? 'embedded'})`, async (t) => {
    const server = await serverOf(t, binaries);
    const login = { user: 'administrator', password: 'only-for-tests-owner' };
    await withClient(server.superuserUrl, async (client) => {
      await client.query(`CREATE ROLE ${login.user} LOGIN CREATEROLE PASSWORD '${login.password}'`);
      await client.query(`CREATE DATABASE castellan OWNER ${login.user}`);
    });
    const ownerUrl = databaseUrl(server.superuserUrl, 'castellan', login);
    t.same(await migrate(ownerUrl), await migrationNames(MIGRATIONS_FOLDER));
    t.same(await migrate(ownerUrl), []);
    await provisionLogins(ownerUrl, LOGINS);
    const url = databaseUrl(server.superuserUrl, 'castellan', LOGINS.app);
    t.equal((await checkLogin(url, 'castellan_app')).length, 1, 'only fsync, which tests do without');
  });
}

t.test('PostgreSQL on this machine', { skip: installed.length === 0 && 'none is installed' }, async (t) => {
  for (const binaries of installed) {
    await t.test(`version ${binaries.major}`, async (t) => {
      const server = await serverOf(t, binaries);
      const database = await testDatabase(t, { serverUrl: server.superuserUrl });
      await addProbe(database);
      const storage = testStorage(t, database);
      t.equal(await storage.migrationsCurrent(), 'current');
      await inside(storage, 'a', (trx) => sql`INSERT INTO probe VALUES ('a', 1)`.execute(trx));
      t.equal((await storage.read('a', (trx) => sql`SELECT FROM probe`.execute(trx))).rows.length, 1);
      t.equal((await storage.read('b', (trx) => sql`SELECT FROM probe`.execute(trx))).rows.length, 0);
      t.match(await checkLogin(database.appUrl, 'castellan_app'), [/fsync/]);
      t.match(await checkLogin(database.systemUrl, 'castellan_system'), [/fsync/]);
    });
  }
});
