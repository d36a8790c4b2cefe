import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import { systemBinaries } from '../../src/storage/embedded/binaries.ts';
import { checkLogin } from '../../src/storage/login-check.ts';
import { migrate } from '../../src/storage/migrator.ts';
import { databaseUrl, serverOf, withClient } from '../support/postgres.ts';
import { testHome } from '../support/process.ts';
import { loginStatements } from './support/login-statements.ts';

/** The packaged PostgreSQL, and what this machine has besides. */
const servers = [undefined, ...(await systemBinaries())];

for (const binaries of servers) {
  t.test(
    `logins.sql makes what migrate and serve need on PostgreSQL ${binaries?.major ?? 'as packaged'}`,
    async (t) => {
      const [server, { home }] = await Promise.all([serverOf(t, binaries), testHome(t)]);
      const passwords = { owner: 'only-for-tests-1', app: 'only-for-tests-2', system: 'only-for-tests-3' };
      for (const [name, text] of Object.entries(passwords))
        await writeFile(join(home, `${name}-password`), `${text}\n`);
      await withClient(server.superuserUrl, (client) => client.query('CREATE DATABASE castellan'));
      const url = (name: keyof typeof passwords): string =>
        databaseUrl(server.superuserUrl, 'castellan', {
          user: `castellan_${name}_login`,
          password: passwords[name],
        });
      const superuserUrl = databaseUrl(server.superuserUrl, 'castellan');
      await withClient(superuserUrl, (client) => client.query(loginStatements(home)));

      t.not((await migrate(url('owner'))).length, 0, 'the schema is made by a login without power of its own');
      t.same(await migrate(url('owner')), []);
      // A test server has fsync off, which is not what is asked here.
      const problems = async (name: 'app' | 'system') =>
        (await checkLogin(url(name), `castellan_${name}`)).filter((problem) => !problem.includes('fsync'));
      t.same(await problems('app'), []);
      t.same(await problems('system'), []);
      await t.rejects(migrate(url('app')), 'the logins of the service cannot migrate');
    },
  );
}
