import { openDatabaseLog } from './database-log.ts';
import { readRegistryVersion, readSigners } from './database-registry.ts';
import { type EventRecord, type HeadRecord, toHead, toRow } from './database-row.ts';
import { openSession } from './database-session.ts';
import { DatabaseValues, strayValues, valuesSeen } from './database-values.ts';
import { parseRegistry, type Registry } from './registry.ts';
import {
  type AuditRow,
  type Begin,
  type EventSource,
  type Head,
  MAX_BODY_BYTES,
  type MissingChain,
  type SourcePage,
} from './row.ts';

/** Most rows of a page. */
const PAGE_ROWS = 250;
/** Characters that a page should hold: large events come fewer at a time. */
const PAGE_SIZE = 4_194_304;
/** Rows of the first page, whose size is not known yet. */
const FIRST_PAGE = 32;
/** Characters of a column or of a payload that are read; an honest one is shorter, a longer one cannot match its body. */
const MAX_TEXT = 2048;
const MAX_PAYLOAD = 1_048_576;
const HIDDEN_LOG = 'the log of checkpoints was not compared: this login does not see all of it';
const HIDDEN_VALUES = 'personal values were not compared: this login may not read them';
/** Bytes of the tree in a head that are read; no honest one is longer. */
const MAX_TREE = 2048;
/** Bytes of a path in a batch that are read: one hash more than the longest has. */
const MAX_PATH = 1024;

export interface DatabaseSourceOptions {
  readonly databaseUrl: string;
  readonly chain?: string | undefined;
  readonly from?: number | undefined;
  /** With what people wrote, where the login sees it; without, it is not even read. */
  readonly personal?: boolean | undefined;
}

export interface DatabaseSource extends EventSource {
  /** As of the same moment as the events. */
  registry(): Promise<Registry>;
  /** How many changes the registry says it has seen; undefined: it does not say. */
  registryVersion(): Promise<number | undefined>;
  /** The same as the entries of a signers.json. */
  signers(): Promise<object[]>;
}

/**
 * The log in a database, read in one REPEATABLE READ READ ONLY transaction. Any login works that sees all rows it would
 * have to check; one from which row-level security may hide some is refused with HIDDEN, never given a partial answer.
 */
export async function openDatabaseSource(options: DatabaseSourceOptions): Promise<DatabaseSource> {
  const { chain, from = 1 } = options;
  const { query, sees, close } = await openSession(options.databaseUrl, chain);

  async function* pages(begin: Begin = new Map()): AsyncGenerator<SourcePage> {
    const total = await expected(begin);
    let read = 0;
    for (const { name, first } of await parts(begin)) {
      const values = seen === 'all' ? new DatabaseValues(query) : undefined;
      await values?.open(name, first);
      for await (const records of eventsOf(name, first)) {
        read += records.length;
        const rows = values === undefined ? records.map(toRow) : await withValues(records, values);
        yield { rows, fraction: total > 0 ? Math.min(read / total, 1) : 0 };
      }
      await values?.close();
    }
  }

  /** One part for all chains, unless some begin elsewhere than others. */
  async function parts(begin: Begin): Promise<{ name: string | null; first: number }[]> {
    if (begin.size === 0) return [{ name: chain ?? null, first: from }];
    const chains = await query<{ chain: string }>(
      'SELECT DISTINCT chain FROM public.audit_events WHERE chain = coalesce($1, chain) ORDER BY chain',
      [chain ?? null],
    );
    return chains.map(({ chain: name }) => ({ name, first: begin.get(name)?.seq ?? from }));
  }

  async function* eventsOf(name: string | null, first: number): AsyncGenerator<EventRecord[]> {
    const where = name === null ? 'WHERE ($1::text IS NULL)' : 'WHERE chain = $1';
    const range = first === 1 ? '' : `AND seq >= ${first}`;
    // A cursor of the snapshot, not keyset pages: without the primary key, which an attacker may have dropped, a key
    // does not name one row (a copy at a page's edge would be skipped), and every page would sort the whole table.
    await query(
      `DECLARE events NO SCROLL CURSOR FOR
        SELECT chain, seq::text AS seq, id::text AS id, left(event_type, ${MAX_TEXT}) AS event_type, ts::text AS ts,
          left(actor_id, ${MAX_TEXT}) AS actor_id, left(actor_kind, ${MAX_TEXT}) AS actor_kind,
          left(payload::text, ${MAX_PAYLOAD}) AS payload, substring(body FROM 1 FOR ${MAX_BODY_BYTES + 1}) AS body,
          left(hash, ${MAX_TEXT}) AS hash, left(prev_hash, ${MAX_TEXT}) AS prev_hash,
          left(signature, ${MAX_TEXT}) AS signature, left(signer_id, ${MAX_TEXT}) AS signer_id, sign_mode,
          ${batchColumns}
        FROM public.audit_events AS event ${where} ${range} ORDER BY event.chain, event.seq`,
      [name],
    );
    const fetchPage = (rows: number) => query<EventRecord>(`FETCH FORWARD ${rows} FROM events`);
    let next = fetchPage(FIRST_PAGE);
    for (;;) {
      const records = await next;
      if (records.length === 0) break;
      // The database works on the next page while this one is checked.
      next = fetchPage(rowsPerPage(records));
      next.catch(noteLater);
      yield records;
    }
    await query('CLOSE events');
  }

  async function expected(begin: Begin): Promise<number> {
    const [row] = await query<{ total: string }>(
      `SELECT coalesce(sum(greatest(head.seq - coalesce(begin.seq, $2::bigint) + 1, 0)), 0)::text AS total
      FROM public.audit_heads AS head
      LEFT JOIN unnest($3::text[], $4::bigint[]) AS begin(chain, seq) ON begin.chain = head.chain
      WHERE head.chain = coalesce($1, head.chain)`,
      [chain ?? null, from, [...begin.keys()], Array.from(begin.values(), ({ seq }) => seq)],
    );
    return Number(row?.total ?? 0);
  }

  async function head(of: string): Promise<Head | undefined> {
    const [row] = await query<HeadRecord>(
      `SELECT seq::text AS seq, hash, ${treeColumn} AS tree, ${stateColumns} FROM public.audit_heads WHERE chain = $1`,
      [of],
    );
    return row && toHead(row);
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

  async function prunings(of: string): Promise<Buffer[]> {
    const kept = hasPrunings ? 'OR seq IN (SELECT event_seq FROM public.audit_prunings WHERE chain = $1)' : '';
    const rows = await query<{ body: Buffer }>(
      `SELECT substring(body FROM 1 FOR ${MAX_BODY_BYTES + 1}) AS body FROM public.audit_events
      WHERE chain = $1 AND (event_type = 'audit.pruned' ${kept}) ORDER BY seq DESC LIMIT ${PAGE_ROWS}`,
      [of],
    );
    return rows.map(({ body }) => body);
  }

  // A log that was written before there were these columns has none of them.
  const hasTree = await orClose(() => hasColumn('audit_heads', 'tree'));
  const treeColumn = hasTree ? `substring(tree FROM 1 FOR ${MAX_TREE})` : 'NULL::bytea';
  const hasDeferred = await orClose(() => hasColumn('audit_heads', 'deferred_from'));
  const hasMode = await orClose(() => hasColumn('audit_heads', 'sign_mode'));
  const stateColumns = `${hasDeferred ? `coalesce(deferred_from::text, '')` : 'NULL'} AS deferred_from,
    ${hasMode ? `coalesce(left(sign_mode, ${MAX_TEXT}), '')` : 'NULL'} AS sign_mode`;
  const hasBatches = await orClose(() => hasColumn('audit_events', 'batch_path'));
  const batchColumns = hasBatches
    ? `batch_index, batch_size, substring(batch_path FROM 1 FOR ${MAX_PATH}) AS batch_path`
    : 'NULL::integer AS batch_index, NULL::integer AS batch_size, NULL::bytea AS batch_path';
  const hasPrunings = await orClose(() => hasColumn('audit_prunings', 'event_seq'));
  const log = await orClose(() => openDatabaseLog(query));
  const seen = options.personal === true ? await orClose(() => valuesSeen(query)) : 'absent';
  return {
    ordered: true,
    pages,
    head,
    missingChains,
    prunings,
    strayValues: () => (seen === 'all' ? strayValues(query, chain ?? null) : none()),
    notes: seen === 'none' ? [HIDDEN_VALUES] : [],
    registry: async () => parseRegistry(await readSigners(query)),
    registryVersion: () => readRegistryVersion(query),
    signers: () => readSigners(query),
    log: log !== undefined && sees === 'one chain' ? HIDDEN_LOG : log,
    close,
  };

  async function hasColumn(table: string, column: string): Promise<boolean> {
    const found = await query(
      `SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped`,
      [`public.${table}`, column],
    );
    return found.length > 0;
  }

  /** What fails before the source is handed over must not leave the connection open. */
  async function orClose<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await close();
      throw error;
    }
  }
}

async function withValues(records: readonly EventRecord[], values: DatabaseValues): Promise<AuditRow[]> {
  const rows: AuditRow[] = [];
  for (const record of records) {
    rows.push({ ...toRow(record), personal: { values: await values.of(record), complete: true } });
  }
  return rows;
}

async function* none(): AsyncGenerator<never> {
  yield* [];
}

/** A body travels as two hex digits a byte. */
function rowsPerPage(records: readonly EventRecord[]): number {
  const size = records.reduce((sum, { body, payload }) => sum + 2 * body.length + payload.length, 0);
  const fitting = Math.floor((PAGE_SIZE * records.length) / Math.max(size, 1));
  return Math.min(Math.max(fitting, 1), PAGE_ROWS);
}

/** The same promise is awaited when its page is due, and rejects there. */
function noteLater(): undefined {
  return undefined;
}
