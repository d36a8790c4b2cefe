import { Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import type { ClientBase } from 'pg';

import { oneConnectionDriver } from './one-connection-driver.ts';

/**
 * The tables, by name. Each slice adds its own in its table.ts:
 * `declare module '../storage/database.ts' { interface Database { agents: AgentsTable } }`.
 * @public Named by those declarations only, which are no imports.
 */
export interface Database {
  /** Which migrations this database has had; kept by the migrator. */
  kysely_migration: { name: string; timestamp: string };
}

const inTransaction: unique symbol = Symbol('in transaction');

export type Db = Kysely<Database>;

/** A query builder whose statements run in an open transaction: functions that need one ask for this type. */
export type Trx = Db & { readonly [inTransaction]: true };

/** The query builder of one transaction, and the way to take it back. */
export interface TrxLease {
  readonly trx: Trx;
  /** After this every statement is refused: a forgotten `await` must not run in someone else's transaction. */
  end(): void;
}

/**
 * A query builder over a client that has just begun a transaction. One per transaction (about 3 µs): a cached one would
 * outlive its transaction and could be used on behalf of another workspace. `before` is called before each statement.
 */
export function leaseTrx(client: ClientBase, before?: () => void): TrxLease {
  const { driver, end } = oneConnectionDriver(client, before);
  const db = new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver,
      createIntrospector: (owner) => new PostgresIntrospector(owner),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });
  return { trx: Object.assign(db, { [inTransaction]: true as const }), end };
}
