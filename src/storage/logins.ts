import pg, { type ClientBase, escapeIdentifier, escapeLiteral } from 'pg';

import { adminConnection, type ServiceRole } from './connection.ts';
import { StorageError } from './pg-errors.ts';
import { scramVerifier } from './scram.ts';

export interface Login {
  readonly user: string;
  /** Printable ASCII, at least 16 characters. */
  readonly password: string;
}

const PASSWORD = /^[\x21-\x7e]{16,}$/;

/**
 * Creates or updates the two service logins of a migrated database. Each may become its own role and no other; neither
 * inherits anything, so a connection that forgets its role can do nothing.
 */
export async function provisionLogins(ownerUrl: string, logins: { app: Login; system: Login }): Promise<void> {
  if (logins.app.user === logins.system.user) {
    throw new StorageError('LOGIN_REFUSED', 'the app and the system login must be two');
  }
  const client = new pg.Client(adminConnection(ownerUrl));
  client.on('error', () => undefined);
  try {
    await client.connect();
    await provision(client, logins.app, 'castellan_app');
    await provision(client, logins.system, 'castellan_system');
  } finally {
    await client.end();
  }
}

async function provision(client: ClientBase, login: Login, role: ServiceRole): Promise<void> {
  if (!PASSWORD.test(login.password)) {
    throw new StorageError('LOGIN_REFUSED', `the password of ${login.user} must be at least 16 characters of ASCII`);
  }
  const user = escapeIdentifier(login.user);
  const { rows } = await client.query<{ special: boolean; others: string[] }>(
    `SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication AS special,
       ARRAY(SELECT granted.rolname::text FROM pg_auth_members AS m JOIN pg_roles AS granted ON granted.oid = m.roleid
             WHERE m.member = login.oid AND granted.rolname <> $2) AS others
     FROM pg_roles AS login WHERE rolname = $1`,
    [login.user, role],
  );
  // An administrator's account must not be turned into a service login by a mistyped name.
  if (rows[0]?.special === true) throw new StorageError('LOGIN_REFUSED', `${login.user} has privileges of its own`);
  if (rows[0] === undefined) await client.query(`CREATE ROLE ${user} NOLOGIN NOINHERIT`);
  for (const other of rows[0]?.others ?? []) await client.query(`REVOKE ${escapeIdentifier(other)} FROM ${user}`);
  const verifier = escapeLiteral(await scramVerifier(login.password));
  await client.query(`GRANT ${role} TO ${user}; ALTER ROLE ${user} LOGIN NOINHERIT PASSWORD ${verifier}`);
}
