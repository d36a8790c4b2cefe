import type { Query } from './database-session.ts';
import type { LogSource, StoredEntry, StoredNote } from './log-source.ts';

const PAGE_ROWS = 500;
/** Bytes of an entry that are read; an honest one has about 150. */
const MAX_ENTRY = 4096;
/** Characters of a stored note: those of its log and of many witnesses. */
const MAX_NOTE = 65_536;

/** The log of checkpoints in the database; undefined where its tables are not. */
export async function openDatabaseLog(query: Query): Promise<LogSource | undefined> {
  const [tables] = await query<{ there: boolean }>(
    `SELECT to_regclass('public.audit_checkpoint_entries') IS NOT NULL
      AND to_regclass('public.audit_checkpoints') IS NOT NULL AS there`,
  );
  if (tables?.there !== true) return undefined;

  async function* entries(): AsyncGenerator<readonly StoredEntry[]> {
    await query(
      `DECLARE entries NO SCROLL CURSOR FOR
        SELECT index::text AS index, chain, size::text AS size, substring(root FROM 1 FOR 33) AS root,
          substring(entry FROM 1 FOR ${MAX_ENTRY}) AS entry
        FROM public.audit_checkpoint_entries AS stored ORDER BY stored.index`,
    );
    for (;;) {
      const rows = await query<{ index: string; chain: string; size: string; root: Buffer; entry: Buffer }>(
        `FETCH FORWARD ${PAGE_ROWS} FROM entries`,
      );
      if (rows.length === 0) return;
      yield rows.map(({ index, chain, size, root, entry }) => {
        return { index: Number(index), entry, columns: { chain, size: Number(size), root } };
      });
    }
  }

  async function* notes(): AsyncGenerator<StoredNote> {
    await query(
      `DECLARE notes NO SCROLL CURSOR FOR
        SELECT size::text AS size, left(note, ${MAX_NOTE}) AS note
        FROM public.audit_checkpoints AS stored ORDER BY stored.size, stored.created_at`,
    );
    for (;;) {
      const rows = await query<{ size: string; note: string }>(`FETCH FORWARD ${PAGE_ROWS} FROM notes`);
      if (rows.length === 0) return;
      for (const { size, note } of rows) yield { size: Number(size), note };
    }
  }

  return { entries, notes };
}
