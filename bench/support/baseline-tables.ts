import type pg from 'pg';

/** The tables of the baseline: one to insert into, and one with the rows and the key that `agents` has. */
export async function makeBaselineTables(db: pg.Client): Promise<void> {
  await db.query(`
    CREATE SCHEMA IF NOT EXISTS bench;
    CREATE TABLE IF NOT EXISTS bench.events (id uuid PRIMARY KEY, at timestamptz NOT NULL, payload jsonb NOT NULL);
    DROP TABLE IF EXISTS bench.agents;
    CREATE TABLE bench.agents (LIKE agents INCLUDING DEFAULTS);
    INSERT INTO bench.agents SELECT * FROM agents;
    ALTER TABLE bench.agents ADD PRIMARY KEY (workspace_id, id);
  `);
  await db.query('VACUUM (ANALYZE) bench.agents');
}
