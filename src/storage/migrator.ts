import { Migrator, sql } from 'kysely';
import pg, { type ClientBase } from 'pg';

import { adminConnection } from './connection.ts';
import { type Db, leaseTrx, type Trx } from './database.ts';
import { loadMigrations, MIGRATIONS_FOLDER, migrationNames } from './migration-files.ts';
import { asUnavailable, StorageError } from './pg-errors.ts';
import { ensureRoles } from './roles.ts';

/** One migrator at a time in a database; an arbitrary number that must stay the same over all releases. */
const MIGRATION_LOCK = 7_205_759_403;

/** `newer`: the database has had migrations this release does not know, so nothing of this release may run on it. */
export type MigrationState =
  | 'current'
  | { readonly pending: readonly string[] }
  | { readonly newer: readonly string[] };

/**
 * Brings the database to this release's schema: roles, then all pending migrations in one transaction as castellan_owner.
 * Of several at once one migrates and the others wait. Returns the names applied. A newer schema is refused.
 * `ownerUrl`: a superuser, or a login that owns the database and may create roles (or finds them created).
 */
export async function migrate(ownerUrl: string, options: { folder?: string } = {}): Promise<string[]> {
  const folder = options.folder ?? MIGRATIONS_FOLDER;
  const client = new pg.Client(adminConnection(ownerUrl));
  // A connection that breaks also fails the statement under way, which is where it is reported.
  client.on('error', () => undefined);
  try {
    await client.connect();
    // The session's lock: it goes with the connection, also when this process dies.
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await ensureRoles(client);
    return await asOwner(client, (trx) => runPending(trx, folder));
  } catch (error) {
    throw asUnavailable(error) ?? error;
  } finally {
    await client.end();
  }
}

/** Compares the migrations a database has had with those of this release. */
export async function migrationState(db: Db, folder = MIGRATIONS_FOLDER): Promise<MigrationState> {
  const known = await migrationNames(folder);
  const applied = await appliedNames(db);
  const newer = applied.filter((name) => !known.includes(name));
  if (newer.length > 0) return { newer };
  const pending = known.filter((name) => !applied.includes(name));
  return pending.length === 0 ? 'current' : { pending };
}

async function appliedNames(db: Db): Promise<string[]> {
  const { rows } = await sql<{ found: boolean }>`
    SELECT to_regclass('public.kysely_migration') IS NOT NULL AS found`.execute(db);
  if (rows[0]?.found !== true) return [];
  const applied = await db.selectFrom('kysely_migration').select('name').orderBy('name').execute();
  return applied.map((row) => row.name);
}

async function asOwner<T>(client: ClientBase, work: (trx: Trx) => Promise<T>): Promise<T> {
  await client.query('BEGIN; SET LOCAL ROLE castellan_owner');
  const lease = leaseTrx(client);
  try {
    const value = await work(lease.trx);
    await client.query('COMMIT');
    return value;
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    lease.end();
  }
}

async function runPending(trx: Trx, folder: string): Promise<string[]> {
  const state = await migrationState(trx, folder);
  if (state !== 'current' && 'newer' in state) {
    throw new StorageError('SCHEMA_NEWER', `the schema is newer than this release: ${state.newer.join(', ')}`);
  }
  const migrations = await loadMigrations(folder);
  let failure: StorageError | undefined;
  for (const [name, { up }] of Object.entries(migrations)) {
    migrations[name] = {
      up: async (db) => {
        await up(db).catch((cause: unknown) => {
          failure = new StorageError('MIGRATION_FAILED', `${name} failed`, { cause });
          throw failure;
        });
      },
    };
  }
  const migrator = new Migrator({
    db: trx,
    provider: { getMigrations: () => Promise.resolve(migrations) },
    // The transaction is ours, so that bookkeeping, grants and schema are committed together.
    disableTransactions: true,
  });
  const { error, results } = await migrator.migrateToLatest();
  // Kysely's own error would be that of its unlocking in the failed transaction.
  if (error !== undefined) throw failure ?? error;
  // readyz asks through the service's own logins whether the schema is current.
  await sql`GRANT SELECT ON kysely_migration TO castellan_app, castellan_system, castellan_verifier`.execute(trx);
  return (results ?? []).map((result) => result.migrationName);
}
