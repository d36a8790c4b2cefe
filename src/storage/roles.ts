import { type ClientBase, DatabaseError } from 'pg';

/** The database roles (contract §13); none of them can log in. */
export const ROLES = [
  'castellan_owner',
  'castellan_app',
  'castellan_system',
  'castellan_verifier',
  'castellan_maintenance',
] as const;

/** Trusted extensions the schema's indexes need: trigrams for the search by name, plain columns inside a GIN index. */
const EXTENSIONS = ['pg_trgm', 'btree_gin'] as const;

/** Roles belong to the whole server, so a migrator of another database may be doing the same just now. */
const RACE_STATES: ReadonlySet<string> = new Set([
  '42710', // duplicate_object
  '23505', // unique_violation in a catalog
  'XX000', // "tuple concurrently updated"
]);
const MAX_ROUNDS = 10;

/**
 * Makes sure that the roles exist without any power of their own, that the login may become castellan_owner, and that
 * castellan_owner alone may create in schema public. Does only what is missing: a login that could not do it passes when
 * an administrator has done it before.
 */
export async function ensureRoles(client: ClientBase): Promise<void> {
  for (let round = 1; ; round += 1) {
    try {
      await createMissingRoles(client);
      await takeOwnerMembership(client);
      await grantSchema(client);
      await createExtensions(client);
      return;
    } catch (error) {
      const raced = error instanceof DatabaseError && RACE_STATES.has(error.code ?? '');
      if (!raced || round === MAX_ROUNDS) throw error;
    }
  }
}

async function createMissingRoles(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string; powers: boolean }>(
    `SELECT rolname AS name, rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb AS powers
     FROM pg_roles WHERE rolname = ANY($1)`,
    [ROLES],
  );
  for (const role of ROLES) {
    const found = rows.find((row) => row.name === role);
    if (found === undefined) await client.query(`CREATE ROLE ${role} NOLOGIN`);
    else if (found.powers) {
      await client.query(`ALTER ROLE ${role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB`);
    }
  }
}

async function takeOwnerMembership(client: ClientBase): Promise<void> {
  // PostgreSQL 16 made "may SET ROLE" an option of the membership; before, membership alone was enough.
  const { rows } = await client.query<{ options: boolean; may: boolean }>(
    `SELECT v >= 160000 AS options,
       pg_has_role(current_user, 'castellan_owner', CASE WHEN v >= 160000 THEN 'SET' ELSE 'MEMBER' END) AS may
     FROM (SELECT current_setting('server_version_num')::int AS v) AS server`,
  );
  if (rows[0]?.may === true) return;
  const options = rows[0]?.options === true ? ' WITH SET TRUE, INHERIT FALSE' : '';
  await client.query(`GRANT castellan_owner TO CURRENT_USER${options}`);
}

async function grantSchema(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ role: string; uses: boolean; creates: boolean }>(
    `SELECT role, has_schema_privilege(role, 'public', 'USAGE') AS uses, has_schema_privilege(role, 'public', 'CREATE') AS creates
     FROM unnest($1::text[]) AS role`,
    [['public', ...ROLES]],
  );
  const everyone = rows.find((row) => row.role === 'public');
  if (everyone?.creates === true) await client.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
  for (const { role, uses, creates } of rows) {
    if (role === 'castellan_owner' && !(creates && uses && everyone?.creates !== true)) {
      await client.query('GRANT CREATE, USAGE ON SCHEMA public TO castellan_owner');
    } else if (role !== 'public' && !uses) {
      await client.query(`GRANT USAGE ON SCHEMA public TO ${role}`);
    }
  }
}

async function createExtensions(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string }>('SELECT extname AS name FROM pg_extension');
  for (const extension of EXTENSIONS) {
    if (rows.some((row) => row.name === extension)) continue;
    await client.query(`CREATE EXTENSION IF NOT EXISTS ${extension} SCHEMA public`);
  }
}
