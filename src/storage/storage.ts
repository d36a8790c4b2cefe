import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import pg from 'pg';

import { SYSTEM_CHAIN } from '../ids.ts';
import { CONNECT_TIMEOUT_MS, type ServiceRole, serviceConnection } from './connection.ts';
import type { Trx } from './database.ts';
import { type MigrationState, migrationState } from './migrator.ts';
import { asUnavailable } from './pg-errors.ts';
import { callRoutine, type Routine, requireWorkspaceId, type Session } from './session.ts';
import { checkOut, inSession, inSnapshot } from './transaction.ts';

/** s; longest life of a connection, so that a fail-over or a changed password is noticed. */
const MAX_LIFETIME_SECONDS = 1800;
/** ms; an unused connection is given back to the server. */
const IDLE_MS = 30_000;
/** ms; how long `close` waits for connections that were told to go. */
const CLOSE_LIMIT_MS = 2000;

const SNAPSHOT = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

interface PoolStats {
  readonly max: number;
  readonly total: number;
  readonly idle: number;
  readonly waiting: number;
}

/**
 * The database as slices see it. Every method rejects with StorageError DATABASE_UNAVAILABLE when the server is away, full
 * or too slow; errors that `work` throws on purpose, and constraint violations, come through as they are.
 */
export interface Storage {
  /** One read-only snapshot as castellan_app for that workspace (or `_system`): row-level security holds. */
  read<T>(workspaceId: string, work: (trx: Trx) => Promise<T>): Promise<T>;
  /** One call of a function that reads and keeps to the workspaces it is given: a single round trip. */
  call<R extends Readonly<Record<string, unknown>>>(routine: Routine, values: readonly unknown[]): Promise<R[]>;
  /**
   * One READ COMMITTED read-write transaction as castellan_app over the workspaces it enters; for audit/append and the rounds of checkpoints alone.
   * When the answer to COMMIT is lost the error says `outcomeUnknown`: look, or retry under the same idempotency key.
   */
  transaction<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** One read-only snapshot over all workspaces as castellan_system (jobs, look-ups). */
  system<T>(work: (trx: Trx) => Promise<T>): Promise<T>;
  /** One call of a function that writes, as castellan_system: what supervisors keep, which is no state of governance. */
  systemCall<R extends Readonly<Record<string, unknown>>>(routine: Routine, values: readonly unknown[]): Promise<R[]>;
  /** Resolves when both logins get an answer from the server. */
  ping(): Promise<void>;
  /** How the database's schema compares with this release's migrations. */
  migrationsCurrent(): Promise<MigrationState>;
  stats(): { readonly app: PoolStats; readonly system: PoolStats };
  /** Waits for running transactions, then closes every connection. Safe to call twice. */
  close(): Promise<void>;
}

export interface StorageOptions {
  /** Login that may become castellan_app. */
  readonly appUrl: string;
  /** Login that may become castellan_system. */
  readonly systemUrl: string;
  /** Connections of the app pool; the system pool has a quarter of that, at least 2. */
  readonly poolSize: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string;
  readonly logger: { warn(fields: object, message: string): void };
}

/** Opens no connection yet: the first statement does. */
export function createStorage(options: StorageOptions): Storage {
  const app = openPool(options.appUrl, 'castellan_app', options.poolSize, options);
  const system = openPool(options.systemUrl, 'castellan_system', Math.max(2, Math.ceil(options.poolSize / 4)), options);
  let closed: Promise<void> | undefined;

  const storage: Storage = {
    read: async (workspaceId, work) => inSnapshot(app.pool, beginIn(workspaceId), 'castellan_app', work),
    call: (routine, values) => callOnce(app.pool, 'castellan_app', routine, values),
    systemCall: (routine, values) => callOnce(system.pool, 'castellan_system', routine, values),
    transaction: (work) => inSession(app.pool, 'castellan_app', work),
    system: (work) => inSnapshot(system.pool, `${SNAPSHOT}; SELECT current_user AS role`, 'castellan_system', work),
    ping: async () => {
      const nothing = () => Promise.resolve();
      await Promise.all([storage.read(SYSTEM_CHAIN, nothing), storage.system(nothing)]);
    },
    migrationsCurrent: () => storage.system((trx) => migrationState(trx)),
    stats: () => ({ app: statsOf(app.pool), system: statsOf(system.pool) }),
    close: () => {
      closed ??= Promise.all([app.close(), system.close()]).then(() => undefined);
      return closed;
    },
  };
  return storage;
}

/** BEGIN and the workspace in one round trip; the setting is the transaction's own and ends with it. */
function beginIn(workspaceId: string): string {
  requireWorkspaceId(workspaceId);
  return `${SNAPSHOT}; SELECT set_config('castellan.workspace', '${workspaceId}', true), current_user AS role`;
}

async function callOnce<R extends Readonly<Record<string, unknown>>>(
  pool: pg.Pool,
  role: ServiceRole,
  routine: Routine,
  values: readonly unknown[],
): Promise<R[]> {
  const client = await checkOut(pool);
  let failure: unknown;
  try {
    return await callRoutine<R>(client, role, routine, values);
  } catch (error) {
    failure = error;
    throw asUnavailable(error) ?? error;
  } finally {
    client.release(failure !== undefined);
  }
}

interface OpenPool {
  readonly pool: pg.Pool;
  /** The pool's own `end` is done when every connection was told to go; this one waits until they are gone. */
  close(): Promise<void>;
}

function openPool(url: string, role: ServiceRole, max: number, options: StorageOptions): OpenPool {
  const pool = new pg.Pool({
    ...serviceConnection(url, role, options.applicationName ?? 'castellan'),
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_MS,
    maxLifetimeSeconds: MAX_LIFETIME_SECONDS,
  });
  const open = new Set<Promise<void>>();
  // Without listeners a connection that breaks would end the process: the client's is there while it is in use, too; the
  // pool repeats what an idle one has said.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => {
    client.on('error', (error) => {
      options.logger.warn({ role, reason: error.message }, 'a database connection was lost');
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    open.add(promise);
    client.once('end', () => {
      open.delete(promise);
      resolve();
    });
  });
  return {
    pool,
    close: async () => {
      await pool.end();
      // A server that hangs never says goodbye.
      await Promise.race([Promise.all(open), delay(CLOSE_LIMIT_MS, undefined, { ref: false })]);
    },
  };
}

function statsOf(pool: pg.Pool): PoolStats {
  return { max: pool.options.max, total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
}

/** The database's clock, in ms since the epoch: the one all replicas share. */
export async function databaseTime(storage: Storage): Promise<number> {
  const { rows } = await storage.system((trx) => sql<{ now: Date }>`SELECT clock_timestamp() AS now`.execute(trx));
  return rows[0]?.now.getTime() ?? Number.NaN;
}
