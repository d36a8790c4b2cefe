import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from './container.ts';

/** The statements of deploy/postgres/logins.sql, with what psql would put in: its variables and nothing else. */
export function loginStatements(secrets: string): string {
  const password = (_: string, name: string): string =>
    `'${readFileSync(join(secrets, `${name}-password`), 'utf8').trim()}'`;
  return readFileSync(join(ROOT, 'deploy/postgres/logins.sql'), 'utf8')
    .replace(/^\s*\\.*$/gm, '')
    .replace(/:'(\w+)_password'/g, password)
    .replace(':"DBNAME"', 'castellan');
}
