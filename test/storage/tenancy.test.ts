import t from 'tap';

import { ROLES } from '../../src/storage/roles.ts';
import { testDatabase } from '../support/database.ts';

/** What the migrator keeps, and nobody else. */
const NOT_OURS = "('kysely_migration', 'kysely_migration_lock')";

/** Unique over all workspaces, and why that tells no tenant of another. */
const ACROSS_TENANTS: Readonly<Record<string, string>> = {
  agent_directory_pkey: 'ids of our own making; read by the system role alone',
  accepted_manifests_pkey: 'a manifest is spent once, wherever: only who holds one that the Kernel signed can ask',
};

const database = await testDatabase(t);
const rows = async (sql: string): Promise<Record<string, unknown>[]> => (await database.query(sql)).rows;
const names = async (sql: string): Promise<unknown[]> => (await rows(sql)).map((row) => row['name']);

t.test(
  'row-level security is on and forced in every table, with a policy for each role that may touch it',
  async (t) => {
    t.same(
      await names(`SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname NOT IN ${NOT_OURS}
        AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`),
      [],
    );
    t.same(
      await names(`SELECT c.relname || ' ' || r.rolname AS name FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN pg_roles r
      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname NOT IN ${NOT_OURS}
        AND r.rolname LIKE 'castellan\\_%' AND r.rolname IN (${ROLES.map((role) => `'${role}'`).join()})
        AND has_table_privilege(r.oid, c.oid, 'SELECT')
        AND NOT c.relispartition
        AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND r.oid = ANY (p.polroles))`),
      [],
      'without a policy a role sees nothing: then it should not be granted anything',
    );
    t.same(
      await names(
        `SELECT rolname AS name FROM pg_roles WHERE rolname LIKE 'castellan%' AND (rolbypassrls OR rolsuper)`,
      ),
      [],
    );
  },
);

t.test('what the app role may see of a tenant table is of the workspace that its transaction names', async (t) => {
  const policies = await rows(`SELECT c.relname AS table, pg_get_expr(p.polqual, p.polrelid) AS sees,
      pg_get_expr(p.polwithcheck, p.polrelid) AS writes, p.polcmd AS command
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    WHERE 'castellan_app'::regrole = ANY (p.polroles)
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped)`);
  t.ok(policies.length > 10);
  for (const { table, sees, writes, command } of policies) {
    const own = "workspace_id = current_setting('castellan.workspace'::text, true)";
    for (const clause of [sees, writes].filter((one) => one !== null))
      t.match(String(clause), own, `${table} ${command}`);
  }
});

t.test('keys of tenant tables hold the workspace, and no foreign key leads from one tenant to another', async (t) => {
  // Ids alone are UUIDs of our own making; two workspaces that could not have the same one would tell of each other.
  const unique = await rows(`SELECT c.relname AS table, i.relname AS index,
      array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey)
    WHERE x.indisunique AND NOT c.relispartition
      AND EXISTS (SELECT FROM pg_attribute w WHERE w.attrelid = c.oid AND w.attname = 'workspace_id' AND NOT w.attisdropped)
    GROUP BY 1, 2 ORDER BY 1, 2`);
  const withoutWorkspace = unique.filter(({ columns }) => !Array.isArray(columns) || !columns.includes('workspace_id'));
  t.same(
    withoutWorkspace.map(({ index }) => index),
    Object.keys(ACROSS_TENANTS).sort(),
  );
  t.same(
    await names(`SELECT k.conname AS name FROM pg_constraint k
      WHERE k.contype = 'f' AND k.conparentid = 0
        AND EXISTS (SELECT FROM pg_attribute w WHERE w.attrelid = k.conrelid AND w.attname = 'workspace_id')
        AND EXISTS (SELECT FROM pg_attribute w WHERE w.attrelid = k.confrelid AND w.attname = 'workspace_id')
        AND NOT EXISTS (
          SELECT FROM unnest(k.conkey, k.confkey) AS pair (own, theirs)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.own
          JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.theirs
          WHERE a.attname = 'workspace_id' AND b.attname = 'workspace_id')`),
    [],
  );
});

t.test('nothing runs past row-level security but what is meant to', async (t) => {
  t.same(
    await names(`SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'public' AND c.relkind IN ('v', 'm')`),
    [],
    'no views',
  );
  t.same(
    await names(`SELECT p.proname AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname = 'public' AND p.prosecdef
        AND NOT EXISTS (SELECT FROM unnest(p.proconfig) setting WHERE setting LIKE 'search\\_path=%')`),
    [],
    'a function that runs as the owner names where it looks',
  );
  t.same(
    await names(`SELECT p.proname AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace,
        aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) grants
      WHERE n.nspname = 'public' AND p.prosecdef AND p.prorettype <> 'trigger'::regtype AND grants.grantee = 0`),
    [],
    'and is for the roles that it was granted to',
  );
  t.same(
    await names(`SELECT c.relname || ' ' || r.rolname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      CROSS JOIN pg_roles r WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
        AND r.rolname IN ('castellan_app', 'castellan_system', 'castellan_verifier', 'castellan_maintenance')
        AND has_table_privilege(r.oid, c.oid, 'TRUNCATE')`),
    [],
    'TRUNCATE knows no rows',
  );
});
