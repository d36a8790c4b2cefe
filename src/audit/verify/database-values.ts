import type { EventRecord } from './database-row.ts';
import type { Query } from './database-session.ts';
import type { StoredValue } from './personal.ts';

/** Rows read at once; a value has at most 8 KiB. */
const PAGE_ROWS = 200;
/** Characters and bytes that are read: more than an honest row has. */
const [MAX_MEMBER, MAX_VALUE, MAX_SALT, MAX_ACTOR] = [65, 8193, 33, 65_536];
/** Values of one event that are handed on; no honest one has as many. */
const MAX_OF_EVENT = 32;

interface ValueRecord {
  chain: string;
  seq: string;
  member: string;
  value: string;
  salt: Buffer;
  actor_id: string;
}

/** Whether a login sees the values that people wrote. `absent`: a schema of before there were any. */
export async function valuesSeen(query: Query): Promise<'all' | 'none' | 'absent'> {
  const [found] = await query<{ there: boolean }>(`SELECT to_regclass('public.audit_personal') IS NOT NULL AS there`);
  if (found?.there !== true) return 'absent';
  const [row] = await query<{ readable: boolean }>(
    `SELECT has_table_privilege('public.audit_personal', 'SELECT') AND (NOT row_security_active('public.audit_personal')
      OR current_user IN ('castellan_verifier', 'castellan_owner', 'castellan_app')) AS readable`,
  );
  return row?.readable === true ? 'all' : 'none';
}

/** The values beside events that are read in the same order; of those there are none of, see strayValues. */
export class DatabaseValues {
  readonly #query: Query;
  #page: ValueRecord[] = [];
  #at = 0;
  #ended = false;
  #current: { chain: string; seq: string; values: readonly StoredValue[] } | undefined;

  constructor(query: Query) {
    this.#query = query;
  }

  /** `name`: null for all chains. */
  async open(name: string | null, first: number): Promise<void> {
    const where = name === null ? '($1::text IS NULL)' : 'p.chain = $1';
    await this.#query(
      `DECLARE personal NO SCROLL CURSOR FOR
        SELECT p.chain, p.seq::text AS seq, coalesce(left(p.member, ${MAX_MEMBER}), '') AS member,
          coalesce(left(p.value, ${MAX_VALUE}), '') AS value,
          -- No text is not the empty text: without a salt it is none.
          coalesce(CASE WHEN p.value IS NOT NULL THEN substring(p.salt FROM 1 FOR ${MAX_SALT}) END, '') AS salt,
          coalesce(left(p.actor_id, ${MAX_ACTOR}), '') AS actor_id
        FROM public.audit_personal AS p
        WHERE ${where} AND p.seq >= ${first}
          AND EXISTS (SELECT FROM public.audit_events e WHERE e.chain = p.chain AND e.seq = p.seq)
        ORDER BY p.chain, p.seq, p.member`,
      [name],
    );
  }

  async close(): Promise<void> {
    await this.#query('CLOSE personal');
  }

  /** The values of an event that stands after all those asked for before, or is the same as the last one. */
  async of({ chain, seq }: EventRecord): Promise<readonly StoredValue[]> {
    if (this.#current?.chain === chain && this.#current.seq === seq) return this.#current.values;
    const values: StoredValue[] = [];
    for (let record = await this.#next(); record !== undefined; record = await this.#next()) {
      if (record.chain !== chain || record.seq !== seq) break;
      const { member, value, salt, actor_id: actorId } = record;
      if (values.length < MAX_OF_EVENT) values.push({ member, value, salt, actorId });
      this.#at += 1;
    }
    this.#current = { chain, seq, values };
    return values;
  }

  async #next(): Promise<ValueRecord | undefined> {
    if (this.#at >= this.#page.length && !this.#ended) {
      this.#page = await this.#query<ValueRecord>(`FETCH FORWARD ${PAGE_ROWS} FROM personal`);
      this.#at = 0;
      this.#ended = this.#page.length === 0;
    }
    return this.#page[this.#at];
  }
}

/** Values beyond the end of their chain. Of an event that is missing before it, that event is the finding. */
export async function* strayValues(query: Query, chain: string | null): AsyncGenerator<{ chain: string; seq: number }> {
  await query(
    `DECLARE stray NO SCROLL CURSOR FOR
      SELECT p.chain, p.seq::text AS seq FROM public.audit_personal AS p
      LEFT JOIN public.audit_heads AS head ON head.chain = p.chain
      WHERE p.chain = coalesce($1, p.chain) AND p.seq NOT BETWEEN 1 AND coalesce(head.seq, 0)
        AND NOT EXISTS (SELECT FROM public.audit_events e WHERE e.chain = p.chain AND e.seq = p.seq)
      ORDER BY p.chain, p.seq`,
    [chain],
  );
  for (;;) {
    const rows = await query<{ chain: string; seq: string }>(`FETCH FORWARD ${PAGE_ROWS} FROM stray`);
    if (rows.length === 0) return;
    for (const row of rows) yield { chain: row.chain, seq: Number(row.seq) };
  }
}
