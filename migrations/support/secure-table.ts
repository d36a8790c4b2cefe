import { type Kysely, sql } from 'kysely';

/** Runs a script of plain SQL statements as one round trip. */
export async function run(db: Kysely<unknown>, script: string): Promise<void> {
  await sql.raw(script).execute(db);
}

/**
 * Turns row-level security on and forces it, with one policy per database role (contract §13): the app sees the
 * workspace its transaction names, the system and the verifier read every row, the owner serves migrations.
 */
export async function secureTable(
  db: Kysely<unknown>,
  table: string,
  options: { key: string; appPrivileges: string; systemReads?: boolean },
): Promise<void> {
  const mine = `${options.key} = current_setting('castellan.workspace', true)`;
  await run(
    db,
    `
    ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
    ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
    CREATE POLICY ${table}_app ON ${table} TO castellan_app USING (${mine}) WITH CHECK (${mine});
    CREATE POLICY ${table}_verifier ON ${table} FOR SELECT TO castellan_verifier USING (true);
    CREATE POLICY ${table}_owner ON ${table} TO castellan_owner USING (true) WITH CHECK (true);
    GRANT ${options.appPrivileges} ON ${table} TO castellan_app;
    GRANT SELECT ON ${table} TO castellan_verifier;
    ${
      options.systemReads === true
        ? `CREATE POLICY ${table}_system ON ${table} FOR SELECT TO castellan_system USING (true);
           GRANT SELECT ON ${table} TO castellan_system;`
        : ''
    }
  `,
  );
}
