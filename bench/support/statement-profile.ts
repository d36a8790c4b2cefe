import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';

/** Statements named. */
const SHOWN = 25;
/** Characters of each. */
const TEXT = 160;

/** Has the server load pg_stat_statements when it starts next. */
export async function preloadStatements(db: pg.Client): Promise<void> {
  await db.query(`ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`);
  await db.query(`ALTER SYSTEM SET pg_stat_statements.track = 'all'`);
  await db.query(`ALTER SYSTEM SET pg_stat_statements.track_planning = on`);
}

/** Runs `work` and writes `<name>.sql.txt`: where PostgreSQL spent its time meanwhile, planning and executing. */
export async function statementsDuring<T>(
  db: pg.Client,
  directory: string,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  await db.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()');
  try {
    return await work();
  } finally {
    const { rows } = await db.query(
      `SELECT calls, plans, total_plan_time AS plan, total_exec_time AS execute, shared_blks_hit AS hits, toplevel,
         left(regexp_replace(query, '\\s+', ' ', 'g'), ${TEXT}) AS text
       FROM pg_stat_statements ORDER BY total_plan_time + total_exec_time DESC LIMIT ${SHOWN}`,
    );
    const lines = rows.map((row) => {
      const cells = [row.plan, row.execute].map((time) => time.toFixed(0).padStart(8));
      const each = ((row.plan + row.execute) * 1000) / Number(row.calls);
      cells.push(
        row.calls.padStart(8),
        each.toFixed(0).padStart(7),
        String(Math.round(row.hits / row.calls)).padStart(7),
      );
      return `${cells.join(' ')} ${row.toplevel ? '  ' : 'in'} ${row.text}`;
    });
    await mkdir(directory, { recursive: true });
    const head = ' plan ms  exec ms    calls us/call buffers    statement (in: of a function)';
    await writeFile(join(directory, `${name}.sql.txt`), `${head}\n${lines.join('\n')}\n`);
  }
}
