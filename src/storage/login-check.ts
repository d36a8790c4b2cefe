import pg, { type ClientBase } from 'pg';

import { adminConnection, type ServiceRole } from './connection.ts';
import { asUnavailable } from './pg-errors.ts';

const OLDEST_VERSION = 15;
const NEWEST_VERSION = 18;

interface LoginFacts {
  readonly login: string;
  readonly version: number;
  readonly fsync: boolean;
  readonly superuser: boolean;
  readonly bypass_rls: boolean;
  readonly create_role: boolean;
  readonly owner_member: boolean;
  readonly role_member: boolean;
  readonly other_members: string[];
  readonly owned: string[];
  readonly unprotected: string[];
  readonly strong_roles: string[];
}

/** Everything that makes a login or its database unfit for production `serve`; empty when all is well. */
export async function checkLogin(url: string, role: ServiceRole): Promise<string[]> {
  const client = new pg.Client(adminConnection(url));
  client.on('error', () => undefined);
  try {
    await client.connect();
    return problems(await readFacts(client, role), role);
  } catch (error) {
    throw asUnavailable(error) ?? error;
  } finally {
    await client.end();
  }
}

function problems(facts: LoginFacts, role: ServiceRole): string[] {
  const { login } = facts;
  const found: string[] = [];
  const report = (bad: boolean, text: string): void => {
    if (bad) found.push(text);
  };
  report(
    facts.version < OLDEST_VERSION || facts.version > NEWEST_VERSION,
    `PostgreSQL ${facts.version} is not supported (${OLDEST_VERSION} to ${NEWEST_VERSION} are)`,
  );
  report(!facts.fsync, 'the server runs with fsync off: a crash would lose acknowledged events');
  report(facts.superuser, `the login ${login} is a superuser: row-level security does not bind it`);
  report(facts.bypass_rls, `the login ${login} has BYPASSRLS`);
  report(facts.create_role, `the login ${login} has CREATEROLE: it could give itself other roles`);
  report(facts.owner_member, `the login ${login} may become castellan_owner`);
  report(!facts.role_member, `the login ${login} may not become ${role}`);
  for (const other of facts.other_members) report(true, `the login ${login} may also become ${other}`);
  for (const table of facts.owned) report(true, `the login ${login} owns ${table}`);
  for (const table of facts.unprotected) report(true, `row-level security is not enabled and forced on ${table}`);
  for (const strong of facts.strong_roles) report(true, `the role ${strong} is a superuser or has BYPASSRLS`);
  return found;
}

async function readFacts(client: ClientBase, role: ServiceRole): Promise<LoginFacts> {
  const { rows } = await client.query<LoginFacts>(
    `SELECT session_user AS login,
       current_setting('server_version_num')::int / 10000 AS version,
       current_setting('fsync')::bool AS fsync,
       me.rolsuper AS superuser, me.rolbypassrls AS bypass_rls, me.rolcreaterole AS create_role,
       pg_has_role(me.oid, 'castellan_owner', 'MEMBER') AS owner_member,
       pg_has_role(me.oid, $1, 'MEMBER') AS role_member,
       -- A superuser is a member of everything; it is reported once, above.
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r WHERE NOT me.rolsuper AND r.rolname <> $1
         AND r.rolname IN ('castellan_app', 'castellan_system', 'castellan_maintenance')
         AND pg_has_role(me.oid, r.oid, 'MEMBER') ORDER BY 1) AS other_members,
       ARRAY(SELECT c.relname::text FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
         AND c.relkind IN ('r', 'p') AND c.relowner = me.oid ORDER BY 1) AS owned,
       ARRAY(SELECT c.relname::text FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
         AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
         AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND a.attname IN ('workspace_id', 'chain')) ORDER BY 1) AS unprotected,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r WHERE r.rolname LIKE 'castellan\\_%'
         AND r.oid <> me.oid AND (r.rolsuper OR r.rolbypassrls) AND pg_has_role(me.oid, r.oid, 'MEMBER')
         AND NOT me.rolsuper ORDER BY 1) AS strong_roles
     FROM pg_roles AS me WHERE me.rolname = session_user`,
    [role],
  );
  const facts = rows[0];
  if (facts === undefined) throw new Error('the server does not know its own session user');
  return facts;
}
