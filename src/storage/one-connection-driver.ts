import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely';
import type { ClientBase } from 'pg';

import { StorageError } from './pg-errors.ts';

const COUNTED = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

/**
 * A Kysely driver over one client whose transaction belongs to the caller: it neither begins nor commits, runs statements
 * one after the other even under Promise.all, and refuses them once ended. `before` is called before each.
 */
export function oneConnectionDriver(
  client: ClientBase,
  before: () => void = () => undefined,
): { driver: Driver; end: () => void } {
  let ended = false;
  let tail: Promise<unknown> = Promise.resolve();

  async function execute<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (ended) throw new StorageError('TRANSACTION_ENDED', 'a statement was sent after its transaction had ended');
    before();
    const { command, rowCount, rows } = await client.query(query.sql, [...query.parameters]);
    return COUNTED.has(command) ? { rows, numAffectedRows: BigInt(rowCount ?? 0) } : { rows };
  }

  const connection: DatabaseConnection = {
    executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
      const result = tail.then(() => execute<R>(query));
      tail = result.catch(() => undefined);
      return result;
    },
    streamQuery(): AsyncIterableIterator<never> {
      throw refused('streams; read keyset pages instead');
    },
  };

  const driver: Driver = {
    init: () => Promise.resolve(),
    acquireConnection: () => Promise.resolve(connection),
    releaseConnection: () => Promise.resolve(),
    beginTransaction: () => Promise.reject(refused('nested transactions; its COMMIT would end the outer one')),
    commitTransaction: () => Promise.reject(refused('commits')),
    rollbackTransaction: () => Promise.reject(refused('rollbacks')),
    destroy: () => Promise.resolve(),
  };
  return {
    driver,
    end: () => {
      ended = true;
    },
  };
}

function refused(what: string): StorageError {
  return new StorageError('TRANSACTION_MISUSED', `a transaction of the storage takes no ${what}`);
}
