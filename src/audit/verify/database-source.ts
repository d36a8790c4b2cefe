import { Client, DatabaseError } from 'pg';

import { VerifyError } from './errors.ts';
import { parseRegistry, type Registry } from './registry.ts';
import { type AuditRow, type EventSource, type Head, MAX_BODY_BYTES, type MissingChain } from './row.ts';

/** Most rows of a page. */
const PAGE_ROWS = 250;
/** Characters that a page should hold: large events come fewer at a time. */
const PAGE_SIZE = 4_194_304;
/** Rows of the first page, whose size is not known yet. */
const FIRST_PAGE = 32;
/** Characters of a column or of a payload that are read; an honest one is shorter, a longer one cannot match its body. */
const MAX_TEXT = 2048;
const MAX_PAYLOAD = 1_048_576;
/** PostgreSQL: insufficient_privilege. */
const NOT_ALLOWED = '42501';
const UTC_TIMESTAMP = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d+))?\+00$/;

export interface DatabaseSourceOptions {
  readonly databaseUrl: string;
  readonly chain?: string | undefined;
  readonly from?: number | undefined;
}

export interface DatabaseSource extends EventSource {
  registry(): Promise<Registry>;
}

interface EventRecord {
  chain: string;
  seq: string;
  id: string;
  event_type: string;
  ts: string;
  actor_id: string;
  actor_kind: string;
  payload: string;
  body: Buffer;
  hash: string;
  prev_hash: string;
  signature: string | null;
  signer_id: string | null;
  sign_mode: string;
}

/**
 * The log in a database, read in one REPEATABLE READ READ ONLY transaction. Any login works that sees all rows it would
 * have to check; one from which row-level security may hide some is refused with HIDDEN, never given a partial answer.
 */
export async function openDatabaseSource(options: DatabaseSourceOptions): Promise<DatabaseSource> {
  const { chain, from = 1 } = options;
  const client = await connect(options.databaseUrl);
  let lost: unknown;
  client.on('error', (error) => {
    lost = error; // the query under way rejects with it; without a listener the process would end
  });

  async function query<T extends object>(text: string, values: unknown[] = []): Promise<T[]> {
    try {
      return (await client.query<T>(text, values)).rows;
    } catch (cause) {
      const denied = cause instanceof DatabaseError && cause.code === NOT_ALLOWED;
      if (denied) throw new VerifyError('HIDDEN', `this login may not read the audit tables: ${cause.message}`, cause);
      throw new VerifyError('UNREADABLE', `the database could not be read: ${messageOf(lost ?? cause)}`, cause);
    }
  }

  async function* pages() {
    const total = await expected();
    const where = chain === undefined ? 'WHERE ($1::text IS NULL)' : 'WHERE chain = $1';
    const range = from === 1 ? '' : `AND seq >= ${from}`;
    // A cursor of the snapshot, not keyset pages: without the primary key, which an attacker may have dropped, a key
    // does not name one row (a copy at a page's edge would be skipped), and every page would sort the whole table.
    await query(
      `DECLARE events NO SCROLL CURSOR FOR
        SELECT chain, seq::text AS seq, id::text AS id, left(event_type, ${MAX_TEXT}) AS event_type, ts::text AS ts,
          left(actor_id, ${MAX_TEXT}) AS actor_id, left(actor_kind, ${MAX_TEXT}) AS actor_kind,
          left(payload::text, ${MAX_PAYLOAD}) AS payload, substring(body FROM 1 FOR ${MAX_BODY_BYTES + 1}) AS body,
          left(hash, ${MAX_TEXT}) AS hash, left(prev_hash, ${MAX_TEXT}) AS prev_hash,
          left(signature, ${MAX_TEXT}) AS signature, left(signer_id, ${MAX_TEXT}) AS signer_id, sign_mode
        FROM public.audit_events AS event ${where} ${range} ORDER BY event.chain, event.seq`,
      [chain ?? null],
    );
    const fetchPage = (rows: number) => query<EventRecord>(`FETCH FORWARD ${rows} FROM events`);
    let read = 0;
    let next = fetchPage(FIRST_PAGE);
    for (;;) {
      const records = await next;
      if (records.length === 0) return;
      read += records.length;
      // The database works on the next page while this one is checked.
      next = fetchPage(rowsPerPage(records));
      next.catch(noteLater);
      yield { rows: records.map(toRow), fraction: total > 0 ? Math.min(read / total, 1) : 0 };
    }
  }

  async function expected(): Promise<number> {
    const [row] = await query<{ total: string }>(
      'SELECT coalesce(sum(greatest(seq - $2::bigint + 1, 0)), 0)::text AS total FROM public.audit_heads WHERE chain = coalesce($1, chain)',
      [chain ?? null, from],
    );
    return Number(row?.total ?? 0);
  }

  async function head(of: string): Promise<Head | undefined> {
    const [row] = await query<{ seq: string; hash: string }>(
      'SELECT seq::text AS seq, hash FROM public.audit_heads WHERE chain = $1',
      [of],
    );
    return row === undefined ? undefined : { seq: Number(row.seq), hash: row.hash };
  }

  /** Heads past `from`, and workspaces, without a single event. A head at seq 0 is a chain that has not begun. */
  async function* missingChains(): AsyncGenerator<MissingChain> {
    await query(
      `DECLARE missing NO SCROLL CURSOR FOR
        SELECT owed.chain, min(owed.detail) AS detail FROM (
          SELECT chain, 'the head row is at seq ' || seq || ', but there is no event' AS detail
            FROM public.audit_heads WHERE seq >= $2::bigint
          UNION ALL SELECT id, 'the workspace exists, but its chain has no event' FROM public.workspaces WHERE $2 = 1
        ) AS owed
        WHERE owed.chain = coalesce($1, owed.chain)
          AND NOT EXISTS (SELECT FROM public.audit_events e WHERE e.chain = owed.chain AND e.seq >= $2::bigint)
        GROUP BY owed.chain ORDER BY owed.chain`,
      [chain ?? null, from],
    );
    for (;;) {
      const rows = await query<MissingChain>(`FETCH FORWARD ${PAGE_ROWS} FROM missing`);
      if (rows.length === 0) return;
      yield* rows;
    }
  }

  async function registry(): Promise<Registry> {
    const iso = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
    return parseRegistry(
      await query(
        `SELECT signer_id AS "signerId", alg, public_key AS "publicKey", purpose, state,
          ${iso('not_before')} AS "notBefore", ${iso('not_after')} AS "notAfter", ${iso('revoked_at')} AS "revokedAt"
        FROM public.signers`,
      ),
    );
  }

  /** Ending the connection ends the transaction; nothing was written in it. */
  async function close(): Promise<void> {
    await client.end();
  }

  try {
    await query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await query(`SELECT set_config('search_path', 'pg_catalog', true), set_config('TimeZone', 'UTC', true),
      set_config('DateStyle', 'ISO', true), set_config('statement_timeout', '0', true),
      set_config('idle_in_transaction_session_timeout', '0', true), set_config('bytea_output', 'hex', true)`);
    await seeEverything(query, chain);
  } catch (error) {
    await close();
    throw error;
  }
  return { ordered: true, pages, head, missingChains, registry, close };
}

type Query = <T extends object>(text: string, values?: unknown[]) => Promise<T[]>;

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
async function seeEverything(query: Query, chain: string | undefined): Promise<void> {
  if (!(await filtered(query))) return;
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
  } else {
    throw new VerifyError(
      'HIDDEN',
      'row-level security hides rows from this login: use a superuser, castellan_verifier or castellan_owner, or name one --chain',
    );
  }
}

async function filtered(query: Query): Promise<boolean> {
  const [row] = await query<{ active: boolean }>(
    `SELECT row_security_active('public.audit_events') OR row_security_active('public.audit_heads')
      OR row_security_active('public.signers') OR row_security_active('public.workspaces') AS active`,
  );
  return row?.active !== false;
}

/** A body travels as two hex digits a byte. */
function rowsPerPage(records: readonly EventRecord[]): number {
  const size = records.reduce((sum, { body, payload }) => sum + 2 * body.length + payload.length, 0);
  const fitting = Math.floor((PAGE_SIZE * records.length) / Math.max(size, 1));
  return Math.min(Math.max(fitting, 1), PAGE_ROWS);
}

function toRow(record: EventRecord): AuditRow {
  return {
    chain: record.chain,
    seq: Number(record.seq),
    id: record.id,
    eventType: record.event_type,
    ts: toRfc3339(record.ts),
    actor: { id: record.actor_id, kind: record.actor_kind },
    payload: record.payload,
    body: record.body,
    hash: record.hash,
    prevHash: record.prev_hash,
    signature: record.signature,
    signerId: record.signer_id,
    signMode: record.sign_mode,
  };
}

/** PostgreSQL's spelling (which may be `infinity`) as the body's; digits past ms are kept, so that they are seen. */
function toRfc3339(text: string): string {
  const [, date, time, fraction = ''] = UTC_TIMESTAMP.exec(text) ?? [];
  return date === undefined ? text : `${date}T${time}.${fraction.padEnd(3, '0')}Z`;
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : 'no connection';
}

/** The same promise is awaited when its page is due, and rejects there. */
function noteLater(): undefined {
  return undefined;
}
