import { Client, DatabaseError } from 'pg';

import { VerifyError } from './errors.ts';

/** PostgreSQL: insufficient_privilege. */
const NOT_ALLOWED = '42501';

/** Throws VerifyError UNREADABLE, or HIDDEN for what the login may not read. */
export type Query = <T extends object>(text: string, values?: unknown[]) => Promise<T[]>;

/** One transaction that sees one state of the log and changes nothing. */
export interface DatabaseSession {
  readonly query: Query;
  /** Of all chains, or only of the one that was named. */
  readonly sees: 'everything' | 'one chain';
  /** Ending the connection ends the transaction; nothing was written in it. */
  close(): Promise<void>;
}

/** Any login works that sees all rows; one from which row-level security may hide some is refused with HIDDEN. */
export async function openSession(databaseUrl: string, chain: string | undefined): Promise<DatabaseSession> {
  const client = await connect(databaseUrl);
  let lost: unknown;
  client.on('error', (error) => {
    lost = error; // the query under way rejects with it; without a listener the process would end
  });
  const close = () => client.end();

  async function query<T extends object>(text: string, values: unknown[] = []): Promise<T[]> {
    try {
      return (await client.query<T>(text, values)).rows;
    } catch (cause) {
      const denied = cause instanceof DatabaseError && cause.code === NOT_ALLOWED;
      if (denied) throw new VerifyError('HIDDEN', `this login may not read the audit tables: ${cause.message}`, cause);
      throw new VerifyError('UNREADABLE', `the database could not be read: ${messageOf(lost ?? cause)}`, cause);
    }
  }

  try {
    await query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await query(`SELECT set_config('search_path', 'pg_catalog', true), set_config('TimeZone', 'UTC', true),
      set_config('DateStyle', 'ISO', true), set_config('statement_timeout', '0', true),
      set_config('idle_in_transaction_session_timeout', '0', true), set_config('bytea_output', 'hex', true)`);
    return { query, sees: await seeEverything(query, chain), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function connect(databaseUrl: string): Promise<Client> {
  try {
    const client = new Client({ connectionString: databaseUrl, application_name: 'castellan audit verify' });
    await client.connect();
    return client;
  } catch (cause) {
    throw new VerifyError('UNREADABLE', `cannot connect to the database: ${messageOf(cause)}`, cause);
  }
}

/**
 * Row-level security must not narrow what is verified: it does not apply to a superuser, the verifier and the owner see
 * all rows, the app's login sees the one chain it names. From every other login rows may be hidden.
 */
async function seeEverything(query: Query, chain: string | undefined): Promise<DatabaseSession['sees']> {
  if (!(await filtered(query))) return 'everything';
  const roles = await query<{ rolname: string }>(
    `SELECT rolname FROM pg_roles WHERE rolname IN ('castellan_verifier', 'castellan_owner', 'castellan_app')
      AND pg_has_role(session_user, oid, 'MEMBER')`,
  );
  const member = new Set(roles.map((role) => role.rolname));
  if (member.has('castellan_verifier')) await query('SET LOCAL ROLE castellan_verifier');
  else if (member.has('castellan_owner')) await query('SET LOCAL ROLE castellan_owner');
  else if (member.has('castellan_app') && chain !== undefined) {
    // A login need not inherit the role it may become.
    await query('SET LOCAL ROLE castellan_app');
    await query(`SELECT set_config('castellan.workspace', $1, true)`, [chain]);
    return 'one chain';
  } else {
    throw new VerifyError(
      'HIDDEN',
      'row-level security hides rows from this login: use a superuser, castellan_verifier or castellan_owner, or name one --chain',
    );
  }
  return 'everything';
}

async function filtered(query: Query): Promise<boolean> {
  const [row] = await query<{ active: boolean }>(
    `SELECT row_security_active('public.audit_events') OR row_security_active('public.audit_heads')
      OR row_security_active('public.signers') OR row_security_active('public.workspaces') AS active`,
  );
  return row?.active !== false;
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : 'no connection';
}
