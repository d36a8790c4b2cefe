import type { TestDatabase } from '../support/database.ts';

/** A table of one workspace's rows, secured as migrations secure theirs. */
export async function addProbe(database: TestDatabase): Promise<void> {
  await database.query(`
    CREATE TABLE probe (workspace_id text NOT NULL, id integer PRIMARY KEY);
    ALTER TABLE probe OWNER TO castellan_owner;
    ALTER TABLE probe ENABLE ROW LEVEL SECURITY;
    ALTER TABLE probe FORCE ROW LEVEL SECURITY;
    CREATE POLICY probe_app ON probe TO castellan_app
      USING (workspace_id = current_setting('castellan.workspace', true))
      WITH CHECK (workspace_id = current_setting('castellan.workspace', true));
    CREATE POLICY probe_system ON probe FOR SELECT TO castellan_system USING (true);
    GRANT SELECT, INSERT ON probe TO castellan_app;
    GRANT SELECT ON probe TO castellan_system;
  `);
}
