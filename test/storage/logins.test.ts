import t from 'tap';

import { checkLogin } from '../../src/storage/login-check.ts';
import { provisionLogins } from '../../src/storage/logins.ts';
import { testDatabase } from '../support/database.ts';
import { databaseUrl, withClient } from '../support/postgres.ts';
import { addProbe } from './probe.ts';

/** The server of the tests runs without fsync, which is always reported. */
const FSYNC = /fsync/;

t.test('the logins that are provisioned are fit for service', async (t) => {
  const database = await testDatabase(t);
  t.match(await checkLogin(database.appUrl, 'castellan_app'), [FSYNC]);
  t.match(await checkLogin(database.systemUrl, 'castellan_system'), [FSYNC]);
  t.equal((await checkLogin(database.appUrl, 'castellan_app')).length, 1);
  t.equal((await checkLogin(database.systemUrl, 'castellan_system')).length, 1);
});

t.test('a login alone, without its role, can do nothing', async (t) => {
  const database = await testDatabase(t);
  await withClient(database.appUrl, async (client) => {
    await t.rejects(client.query('SELECT FROM agents'), { code: '42501' });
    await t.rejects(client.query('SET ROLE castellan_system'), { code: '42501' });
    await t.rejects(client.query('SET ROLE castellan_owner'), { code: '42501' });
    await t.rejects(client.query('CREATE TABLE mine (n int)'), { code: '42501' });
  });
});

t.test('what makes a login or a database unfit is named', async (t) => {
  const database = await testDatabase(t);
  const user = `bad_${database.name}`;
  const password = 'only-for-tests-bad';
  await database.query(`CREATE ROLE ${user} LOGIN PASSWORD '${password}' BYPASSRLS CREATEROLE NOINHERIT;
    GRANT castellan_owner, castellan_system TO ${user}`);
  t.teardown(async () => {
    await database.drop();
    await withClient(databaseUrl(database.superuserUrl, 'postgres'), (client) => client.query(`DROP ROLE ${user}`));
  });
  await addProbe(database);
  await database.query('ALTER TABLE probe NO FORCE ROW LEVEL SECURITY');
  const url = databaseUrl(database.superuserUrl, database.name, { user, password });
  t.match(await checkLogin(url, 'castellan_app'), [
    FSYNC,
    /BYPASSRLS/,
    /CREATEROLE/,
    /may become castellan_owner/,
    /may not become castellan_app/,
    /may also become castellan_system/,
    /not enabled and forced on probe/,
  ]);
  await database.query(`ALTER TABLE probe FORCE ROW LEVEL SECURITY; ALTER TABLE probe DISABLE ROW LEVEL SECURITY;
    ALTER TABLE probe OWNER TO ${user}`);
  const second = await checkLogin(url, 'castellan_app');
  t.match(second.join('\n'), /owns probe/);
  t.match(second.join('\n'), /not enabled and forced on probe/);
  t.match((await checkLogin(database.superuserUrl, 'castellan_app')).join('\n'), /is a superuser/);
});

t.test('provisioning is repeatable, changes passwords, and takes other roles away', async (t) => {
  const database = await testDatabase(t);
  const login = (part: string, password: string) => ({ user: `${part}_${database.name}`, password });
  const logins = { app: login('app', 'first-password-app'), system: login('system', 'first-password-sys') };
  const users = [logins.app.user, logins.system.user];
  t.teardown(async () => {
    await database.drop();
    const drop = `DROP ROLE ${users.join(', ')}`;
    await withClient(databaseUrl(database.superuserUrl, 'postgres'), (client) => client.query(drop));
  });
  await provisionLogins(database.ownerUrl, logins);
  await database.query(`GRANT castellan_system, castellan_owner TO ${logins.app.user}`);
  const changed = { ...logins, app: { ...logins.app, password: "it's-a-second-one" } };
  await provisionLogins(database.ownerUrl, changed);
  const url = (which: typeof logins.app) => databaseUrl(database.superuserUrl, database.name, which);
  await t.rejects(checkLogin(url(logins.app), 'castellan_app'), { code: '28P01' });
  t.equal((await checkLogin(url(changed.app), 'castellan_app')).length, 1);

  await t.rejects(provisionLogins(database.ownerUrl, { app: logins.app, system: logins.app }), {
    code: 'LOGIN_REFUSED',
  });
  const root = { app: { user: 'postgres', password: 'first-password-app' }, system: logins.system };
  await t.rejects(provisionLogins(database.ownerUrl, root), { code: 'LOGIN_REFUSED' }, 'never the superuser');
  const short = { app: { ...logins.app, password: 'short' }, system: logins.system };
  await t.rejects(provisionLogins(database.ownerUrl, short), { code: 'LOGIN_REFUSED' });
});
