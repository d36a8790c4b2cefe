import type { Pool, PoolClient, QueryResult } from 'pg';

import { leaseTrx, type Trx } from './database.ts';
import { asUnavailable, StorageError } from './pg-errors.ts';

/**
 * Runs `work` in one transaction on a connection of the pool and commits it. `begin` ends with a SELECT of `role`, which
 * must be the expected one: a pooler that drops start-up options would otherwise switch row-level security off.
 */
export async function inTransaction<T>(
  pool: Pool,
  begin: string,
  role: string,
  work: (trx: Trx, client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await checkOut(pool);
  // Destroyed unless proven to be clean: a connection in doubt never goes back into the pool.
  let clean = false;
  try {
    await beginAs(client, begin, role);
    const value = await runWork(client, work);
    clean = true;
    return value;
  } catch (error) {
    clean = await rollback(client, error);
    throw asUnavailable(error) ?? error;
  } finally {
    client.release(!clean);
  }
}

async function checkOut(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (cause) {
    throw new StorageError('DATABASE_UNAVAILABLE', 'no connection to the database', { cause });
  }
}

async function beginAs(client: PoolClient, begin: string, role: string): Promise<void> {
  // A text of several statements yields one result for each.
  const results: QueryResult | QueryResult[] = await client.query(begin);
  const last = Array.isArray(results) ? results.at(-1) : results;
  const row: unknown = last?.rows[0];
  if (typeof row !== 'object' || row === null || !('role' in row) || row.role !== role) {
    throw new StorageError('ROLE_NOT_APPLIED', `the database connection does not run as ${role}`);
  }
}

async function runWork<T>(client: PoolClient, work: (trx: Trx, client: PoolClient) => Promise<T>): Promise<T> {
  const lease = leaseTrx(client);
  try {
    const value = await work(lease.trx, client);
    lease.end();
    await commit(client);
    return value;
  } finally {
    lease.end();
  }
}

async function commit(client: PoolClient): Promise<void> {
  let result: QueryResult;
  try {
    result = await client.query('COMMIT');
  } catch (cause) {
    if (asUnavailable(cause) === undefined) throw cause;
    throw new StorageError('DATABASE_UNAVAILABLE', 'the answer to COMMIT was lost', { cause, outcomeUnknown: true });
  }
  // COMMIT of a failed transaction is no error for the server: it says ROLLBACK and keeps nothing.
  if (result.command !== 'COMMIT') {
    throw new StorageError('TRANSACTION_ABORTED', 'a statement of the transaction had failed; nothing was kept');
  }
}

/** True when the connection is known to be outside any transaction and fit for the next one. */
async function rollback(client: PoolClient, error: unknown): Promise<boolean> {
  if (error instanceof StorageError && (error.outcomeUnknown || error.code === 'ROLE_NOT_APPLIED')) return false;
  // After a client-side timeout the server may still be busy with the statement: ROLLBACK would queue behind it.
  const failure = asUnavailable(error);
  if (failure !== undefined && !failure.retryable && !isFromServer(failure.cause)) return false;
  try {
    await client.query('ROLLBACK');
    return true;
  } catch {
    return false;
  }
}

function isFromServer(cause: unknown): boolean {
  return cause instanceof Error && 'severity' in cause && cause.severity === 'ERROR';
}
