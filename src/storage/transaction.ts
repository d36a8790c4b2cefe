import { DatabaseError, type Pool, type PoolClient, type QueryResult } from 'pg';

import { leaseTrx, type Trx } from './database.ts';
import { asUnavailable, StorageError } from './pg-errors.ts';
import { isFollower, roleNotApplied, Session } from './session.ts';

const READ_WRITE = 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT current_user AS role';

/**
 * Runs `work` in one read-only transaction. `begin` ends with a SELECT of `role`, which must be the expected one: a pooler
 * that drops start-up options would otherwise switch row-level security off. The first statement does not wait for it.
 */
export async function inSnapshot<T>(
  pool: Pool,
  begin: string,
  role: string,
  work: (trx: Trx) => Promise<T>,
): Promise<T> {
  const client = await checkOut(pool);
  const lease = leaseTrx(client);
  const begun = beginAs(client, begin, role);
  // Heard below, after the work, whose own first statement fails with it.
  begun.catch(() => undefined);
  try {
    const value = await work(lease.trx);
    lease.end();
    await begun;
    // Nobody waits for the end of a transaction that changed nothing.
    void endSnapshot(client);
    return value;
  } catch (error) {
    lease.end();
    const first = await begun.then(
      () => error,
      (reason: unknown) => reason,
    );
    client.release(!(await rollback(client, first)));
    throw asUnavailable(first) ?? first;
  }
}

async function endSnapshot(client: PoolClient): Promise<void> {
  try {
    const { command } = await client.query('COMMIT');
    client.release(command !== 'COMMIT');
  } catch {
    client.release(true);
  }
}

/**
 * Runs `work` in one READ COMMITTED read-write transaction and commits it, without waiting for its last statements: the
 * server keeps nothing unless each of them succeeded.
 */
export async function inSession<T>(pool: Pool, role: string, work: (session: Session) => Promise<T>): Promise<T> {
  const client = await checkOut(pool);
  // Destroyed unless proven to be clean: a connection in doubt never goes back into the pool.
  let clean = false;
  const session = new Session(client, role);
  try {
    session.begin(beginAs(client, READ_WRITE, role));
    const value = await work(session);
    await commit(client, session);
    clean = true;
    return value;
  } catch (thrown) {
    session.close().catch(() => undefined);
    const error = isFollower(thrown) ? (session.failure ?? thrown) : thrown;
    clean = await rollback(client, error);
    throw asUnavailable(error) ?? error;
  } finally {
    client.release(!clean);
  }
}

/** A connection of the pool, for one use; what fails to come in time is DATABASE_UNAVAILABLE. */
export async function checkOut(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (cause) {
    throw new StorageError('DATABASE_UNAVAILABLE', 'no connection to the database', { cause });
  }
}

async function beginAs(client: PoolClient, begin: string, role: string): Promise<void> {
  // A text of several statements yields one result for each.
  const results = await sendBegin(client, begin);
  const last = Array.isArray(results) ? results.at(-1) : results;
  const row: unknown = last?.rows[0];
  // Not the answer to what was asked: the connection broke in between, and it is not used again.
  if (typeof row !== 'object' || row === null || !('role' in row)) {
    throw new StorageError('DATABASE_UNAVAILABLE', 'the database did not say as whom the transaction runs');
  }
  if (row.role !== role) throw roleNotApplied(role);
}

async function sendBegin(client: PoolClient, begin: string): Promise<QueryResult | QueryResult[]> {
  try {
    return await client.query(begin);
  } catch (cause) {
    // feature_not_supported, from BEGIN alone: READ WRITE on a server in recovery, that is: a standby.
    if (!(cause instanceof DatabaseError) || cause.code !== '0A000') throw cause;
    throw new StorageError('DATABASE_UNAVAILABLE', 'the database takes no writes', { cause });
  }
}

async function commit(client: PoolClient, session: Session): Promise<void> {
  const [statements, answer] = await Promise.allSettled([session.close(), client.query('COMMIT')]);
  const failure: unknown = statements.status === 'rejected' ? (session.failure ?? statements.reason) : undefined;
  if (answer.status === 'rejected') {
    // A statement that the server itself refused: there was nothing to commit.
    if (isFromServer(failure)) throw failure;
    throw asUnavailable(answer.reason) === undefined ? answer.reason : outcomeUnknown(answer.reason);
  }
  // COMMIT of a failed transaction is no error for the server: it says ROLLBACK and keeps nothing.
  if (answer.value.command !== 'COMMIT') {
    const swallowed = 'a statement of the transaction had failed; nothing was kept';
    throw failure ?? new StorageError('TRANSACTION_ABORTED', swallowed);
  }
  // Kept, although what a statement answered could not be read here.
  if (failure !== undefined) throw outcomeUnknown(failure);
}

function outcomeUnknown(cause: unknown): StorageError {
  return new StorageError('DATABASE_UNAVAILABLE', 'the answer to COMMIT was lost', { cause, outcomeUnknown: true });
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
