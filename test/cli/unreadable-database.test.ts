import t from 'tap';

import { testDatabase } from '../support/database.ts';
import { databaseUrl, LOGINS } from '../support/postgres.ts';
import { cli } from './run.ts';

const COMMANDS = [
  ['audit', 'checkpoint'],
  ['audit', 'prune'],
  ['audit', 'verify'],
  ['signers', 'list'],
  ['signers', 'export'],
];

const database = await testDatabase(t);
const empty = await testDatabase(t, { empty: true });

for (const command of COMMANDS) {
  t.test(`${command.join(' ')} says in one line that it cannot read`, async (t) => {
    const wrongPassword = databaseUrl(database.superuserUrl, database.name, {
      ...LOGINS.app,
      password: 'not-this-one',
    });
    const cases: [string, string, RegExp][] = [
      ['wrong password', wrongPassword, /password authentication failed/],
      ['no such database', databaseUrl(database.superuserUrl, 'nowhere'), /"nowhere" does not exist/],
      ['no schema', empty.superuserUrl, /does not exist|not be read/],
      ['no server', Object.assign(new URL(wrongPassword), { port: '1' }).href, /ECONNREFUSED/],
    ];
    for (const [why, url, text] of cases) {
      const { code, out, err } = await cli([...command, '--database-url', url]);
      t.same({ code, out }, { code: 3, out: '' }, why);
      t.match(err, text, why);
      t.match(err, /^castellan.*: [^\n]+\n$/, `${why}: one line`);
      t.notMatch(err, 'not-this-one', why);
    }
  });
}
