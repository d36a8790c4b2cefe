import { DatabaseError, type PoolClient } from 'pg';

import { isWorkspaceId, SYSTEM_CHAIN } from '../ids.ts';
import { leaseTrx, type Trx, type TrxLease } from './database.ts';
import { StorageError } from './pg-errors.ts';

/** A function of the database that keeps to the workspaces it is given, called as a prepared statement. */
export interface Routine {
  readonly name: string;
  readonly text: string;
}

type Row = Readonly<Record<string, unknown>>;

/** The call of a function of `count` parameters that returns rows. */
export function tableRoutine(name: string, count: number): Routine {
  return { name, text: `SELECT current_user AS "castellanRole", r.* FROM ${name}(${parameters(count)}) AS r` };
}

/** The call of a function that returns nothing and fails unless it did all it was asked for. */
export function voidRoutine(name: string, count: number): Routine {
  return { name, text: `SELECT current_user AS "castellanRole", ${name}(${parameters(count)})` };
}

/** Rows for a routine that takes, per workspace, how many of the following rows are its own. */
export function byWorkspace<R extends { readonly workspaceId: string }>(rows: readonly R[]) {
  const groups = Map.groupBy(rows, (row) => row.workspaceId);
  return {
    workspaces: [...groups.keys()],
    counts: [...groups.values()].map((group) => group.length),
    rows: [...groups.values()].flat(),
  };
}

function parameters(count: number): string {
  return Array.from({ length: count }, (_, index) => `$${index + 1}`).join(', ');
}

/** The rows a routine returns. */
export async function callRoutine<R extends Row>(
  client: PoolClient,
  role: string,
  routine: Routine,
  values: readonly unknown[],
): Promise<R[]> {
  const { name, text } = routine;
  const { rows } = await client.query<R & { castellanRole: string }>({ name, text, values: [...values] });
  // A pooler that drops start-up options would otherwise switch row-level security off.
  if (rows.some((row) => row.castellanRole !== role)) throw roleNotApplied(role);
  return rows;
}

/**
 * One open transaction over any number of workspaces. What is sent is executed in that order, without waiting for one
 * another; a call that nobody awaits and that fails takes the whole transaction back.
 */
export class Session {
  readonly #client: PoolClient;
  readonly #role: string;
  readonly #sent: Promise<unknown>[] = [];
  #failure: unknown;
  #ended = false;

  constructor(client: PoolClient, role: string) {
    this.#client = client;
    this.#role = role;
  }

  /** The first failure of what still counts; those after it only say that the transaction has failed. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Calls a routine, which keeps to the workspaces it is given. */
  call<R extends Row>(routine: Routine, values: readonly unknown[]): Promise<R[]> {
    return this.#track(callRoutine<R>(this.#open(), this.#role, routine, values));
  }

  /** Enters a workspace for statements of the caller's own; the lease must end before another one is entered. */
  async enter(workspaceId: string): Promise<TrxLease & { readonly client: PoolClient }> {
    requireWorkspaceId(workspaceId);
    await this.call(ENTER, [workspaceId]);
    return { ...leaseTrx(this.#open()), client: this.#open() };
  }

  /**
   * Runs `work` so that its failure, which is passed on, takes back nothing but its own statements. A `work` that sends
   * none costs none.
   */
  async attempt<T>(workspaceId: string, work: (trx: Trx) => Promise<T>): Promise<T> {
    requireWorkspaceId(workspaceId);
    const before = this.#sent.length;
    let used = false;
    const { trx, end } = leaseTrx(this.#open(), () => {
      if (used) return;
      used = true;
      void this.#run('SAVEPOINT unit');
      void this.call(ENTER, [workspaceId]);
    });
    try {
      const value = await work(trx);
      end();
      if (used) void this.#run('RELEASE SAVEPOINT unit');
      return value;
    } catch (error) {
      end();
      if (used) throw await this.#takeBack(before, error);
      throw error;
    }
  }

  /** `begun`: the answer to BEGIN, which the first calls do not wait for. */
  begin(begun: Promise<unknown>): void {
    void this.#track(begun);
  }

  /** Nothing is sent any more; rejects with the first failure among everything that was. */
  async close(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#sent);
  }

  /** What to tell of a failure inside the savepoint, which is undone. */
  async #takeBack(before: number, error: unknown): Promise<unknown> {
    await Promise.allSettled(this.#sent.splice(before));
    const failure = this.#failure;
    // Fails when the transaction had failed before the savepoint.
    await this.#run('ROLLBACK TO SAVEPOINT unit; RELEASE SAVEPOINT unit');
    // What is taken back cannot fail the transaction any more.
    this.#failure = undefined;
    return isFollower(error) ? (failure ?? error) : error;
  }

  #run(text: string): Promise<unknown> {
    return this.#track(this.#open().query(text));
  }

  #open(): PoolClient {
    if (this.#ended)
      throw new StorageError('TRANSACTION_ENDED', 'a statement was sent after its transaction had ended');
    return this.#client;
  }

  #track<T>(sent: Promise<T>): Promise<T> {
    // Heard here even when the caller does not listen.
    sent.catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#sent.push(sent);
    return sent;
  }
}

/** in_failed_sql_transaction: another statement has failed before. */
export function isFollower(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '25P02';
}

const ENTER: Routine = {
  name: 'enter-workspace',
  text: `SELECT current_user AS "castellanRole", set_config('castellan.workspace', $1, true)`,
};

export function requireWorkspaceId(workspaceId: string): void {
  if (isWorkspaceId(workspaceId) || workspaceId === SYSTEM_CHAIN) return;
  throw new StorageError('INVALID_WORKSPACE', 'not a workspace id');
}

export function roleNotApplied(role: string): StorageError {
  return new StorageError('ROLE_NOT_APPLIED', `the database connection does not run as ${role}`);
}
