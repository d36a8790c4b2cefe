import pg from 'pg';

import type { Tap } from '../../support/postgres.ts';

export interface SeenEvent {
  readonly chain: string;
  readonly type: string;
}

export interface Seen {
  /** Tables with a row that was written or deleted, other than those of the audit. */
  readonly changed: readonly string[];
  readonly events: readonly SeenEvent[];
}

/** Eyes on a database. */
export interface Watch {
  /** What happened since the last look. */
  look(): Promise<Seen>;
}

/** Looks at every table by its number of rows and its youngest transaction: cheap enough for each request. */
export async function watch(t: Tap, superuserUrl: string): Promise<Watch> {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  t.teardown(() => client.end());
  const { rows: tables } = await client.query(
    `SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
     AND NOT c.relispartition AND c.relname NOT LIKE 'audit\\_%' ORDER BY 1`,
  );
  const states = tables
    .map(({ name }) => `SELECT '${name}' AS name, count(*) || ':' || max(xmin::text::bigint) AS state FROM ${name}`)
    .join(' UNION ALL ');
  let known = new Map<string, string>();
  let heads: readonly { chain: string; seq: number }[] = [];

  async function look(): Promise<Seen> {
    const { rows: found } = await client.query(states);
    const now = new Map<string, string>(found.map(({ name, state }) => [name, state]));
    const changed = [...now].filter(([name, state]) => known.get(name) !== state).map(([name]) => name);
    const { rows: events } = await client.query(
      `SELECT e.chain, e.seq::int AS seq, e.event_type AS type
       FROM audit_events e LEFT JOIN jsonb_to_recordset($1) AS h(chain text, seq int) ON h.chain = e.chain
       WHERE e.seq > coalesce(h.seq, 0) ORDER BY e.chain, e.seq`,
      [JSON.stringify(heads)],
    );
    const newest = new Map(heads.map(({ chain, seq }) => [chain, seq]));
    for (const { chain, seq } of events) newest.set(chain, seq);
    known = now;
    heads = [...newest].map(([chain, seq]) => ({ chain, seq }));
    return { changed, events };
  }

  await look();
  return { look };
}
