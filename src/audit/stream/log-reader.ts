import { Client, DatabaseError } from 'pg';

import { columnTypes } from '../../storage/column-types.ts';
import { StreamError } from './errors.ts';

/** Events of one read; with bodies of at most 64 KiB this bounds what is held. */
const PAGE = 200;
/** ms; a server that no longer answers is told from one that is slow. */
const CONNECT_TIMEOUT_MS = 5000;
const QUERY_TIMEOUT_MS = 30_000;
/** SQLSTATEs that trying again does not mend: a wrong password or login, no such database, no such table or column. */
const FOR_GOOD = /^(?:28...|3D000|42P01|42703)$/;
/** PostgreSQL: insufficient_privilege. */
const NOT_ALLOWED = '42501';

export interface LogHead {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
}

export interface LogRow {
  readonly seq: number;
  readonly body: Buffer;
  readonly signMode: string;
}

/** The log as one login sees it, always of committed events alone. Rejects with StreamError. */
export interface LogReader {
  /** The ends of all chains, or of the one that was named; a head moves in the transaction that adds its events. */
  heads(): Promise<LogHead[]>;
  /** The next events behind a seq, in order. */
  page(chain: string, after: number): Promise<LogRow[]>;
  /** Up to which seq events may be gone: before the first one there is, or as an event audit.pruned approved. */
  gone(chain: string): Promise<number>;
  close(): Promise<void>;
}

/** Each statement is a transaction of its own: a stream that waits holds nothing back in the database. */
export async function openLogReader(databaseUrl: string, chain: string | undefined): Promise<LogReader> {
  const client = new Client({
    connectionString: databaseUrl,
    application_name: 'castellan audit stream',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    types: columnTypes,
  });
  let lost: unknown;
  client.on('error', (error) => {
    lost = error; // the statement under way, or the next one, rejects; without a listener the process would end
  });

  async function query<T extends object>(text: string, values: unknown[] = []): Promise<T[]> {
    try {
      return (await client.query<T>(text, values)).rows;
    } catch (cause) {
      throw failure(lost ?? cause);
    }
  }

  try {
    await client.connect().catch((cause: unknown) => {
      throw failure(cause);
    });
    await query(`SELECT set_config('search_path', 'pg_catalog', false), set_config('default_transaction_read_only', 'on', false),
      set_config('row_security', 'on', false)`);
    await seeAll(query, chain);
  } catch (error) {
    await client.end();
    throw error;
  }
  return {
    heads: () =>
      query('SELECT chain, seq, hash FROM public.audit_heads WHERE chain = coalesce($1, chain) ORDER BY chain', [
        chain ?? null,
      ]),
    page: (of, after) =>
      query(
        `SELECT seq, body, sign_mode AS "signMode" FROM public.audit_events
          WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT ${PAGE}`,
        [of, after],
      ),
    gone: async (of) => {
      const sql = `SELECT greatest(
          (SELECT min(seq) - 1 FROM public.audit_events WHERE chain = $1),
          (SELECT max(to_seq) FROM public.audit_prunings WHERE chain = $1), 0) AS seq`;
      const [row] = await query<{ seq: number }>(sql, [of]);
      return row?.seq ?? 0;
    },
    close: () => client.end(),
  };
}

type Query = <T extends object>(text: string, values?: unknown[]) => Promise<T[]>;

/**
 * A login from which row-level security hides rows would give a stream with holes that nobody sees: it takes a role that
 * sees everything, or that of the service for the one chain that was named, or it is refused.
 */
async function seeAll(query: Query, chain: string | undefined): Promise<void> {
  const [table] = await query<{ narrowed: boolean }>(
    `SELECT row_security_active('public.audit_events') OR row_security_active('public.audit_heads') AS narrowed`,
  );
  if (table?.narrowed === false) return;
  const roles = await query<{ role: string }>(
    `SELECT role FROM unnest($1::text[]) AS role WHERE pg_has_role(session_user, role, 'MEMBER')`,
    [['castellan_verifier', 'castellan_owner', 'castellan_app']],
  );
  const role = roles.map((row) => row.role).find((name) => name !== 'castellan_app' || chain !== undefined);
  if (role === undefined) {
    throw new StreamError(
      'HIDDEN',
      'row-level security hides events from this login: use a member of castellan_verifier, or name one --chain',
    );
  }
  await query(`SELECT set_config('role', $1, false), set_config('castellan.workspace', $2, false)`, [
    role,
    chain ?? '',
  ]);
}

function failure(cause: unknown): StreamError {
  const message = cause instanceof Error && cause.message !== '' ? cause.message : 'no connection';
  if (!(cause instanceof DatabaseError)) return new StreamError('AWAY', `the database is away: ${message}`, cause);
  const { code = '' } = cause;
  if (code === NOT_ALLOWED) return new StreamError('HIDDEN', `this login may not read the log: ${message}`, cause);
  if (FOR_GOOD.test(code)) return new StreamError('UNREADABLE', `the log cannot be read: ${message}`, cause);
  return new StreamError('AWAY', `the database is away: ${message}`, cause);
}
