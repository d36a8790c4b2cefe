import pg, { DatabaseError } from 'pg';

import { adminConnection } from '../storage/connection.ts';
import { asUnavailable, StorageError } from '../storage/pg-errors.ts';

/** The one role that may remove events, and only through functions that ask for an approval. */
const ROLE = 'castellan_maintenance';
/** SQLSTATEs of migrations/0014-pruning.ts, and PostgreSQL's for a role that the login may not become. */
const NOT_APPROVED = 'CA020';
const HELD = 'CA021';
const NOT_ALLOWED = '42501';
/** PostgreSQL's for SET ROLE with a name that no role has. */
const NO_ROLE = '22023';

/** A chain of which events may be removed. */
export interface Prunable {
  readonly chain: string;
  readonly to: number;
  /** Approved for removal and still there. */
  readonly events: number;
  readonly held: boolean;
}

/** A connection that can remove events, and do nothing else. */
export interface Removal {
  prunable(): Promise<Prunable[]>;
  /** One step in a transaction of its own: at most `limit` events up to `to`, oldest first; gives how many. */
  step(chain: string, to: number, limit: number): Promise<number>;
  close(): Promise<void>;
}

/** Rejects with StorageError: LOGIN_REFUSED for a login that may not become castellan_maintenance. */
export async function openRemoval(url: string): Promise<Removal> {
  const client = new pg.Client(adminConnection(url));
  // A connection that breaks also fails the statement under way, which is where it is reported.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(`SET ROLE ${ROLE}`);
  } catch (error) {
    await client.end();
    const refused = error instanceof DatabaseError && error.code === NOT_ALLOWED;
    if (refused) throw new StorageError('LOGIN_REFUSED', `this login may not become ${ROLE}`, { cause: error });
    const unknown = error instanceof DatabaseError && error.code === NO_ROLE;
    if (unknown) throw new StorageError('DATABASE_UNAVAILABLE', `the database has no role ${ROLE}: migrate it first`);
    throw asUnavailable(error) ?? error;
  }

  async function query<R extends object>(text: string, values: unknown[] = []): Promise<R[]> {
    try {
      return (await client.query<R>(text, values)).rows;
    } catch (error) {
      throw asUnavailable(error) ?? error;
    }
  }

  return {
    prunable: () => query<Prunable>('SELECT chain, to_seq AS "to", events, held FROM audit_prunable()'),
    step: async (chain, to, limit) => {
      const text = 'SELECT deleted FROM audit_prune($1, $2, $3)';
      const [row] = await query<{ deleted: number }>(text, [chain, to, limit]);
      return row?.deleted ?? 0;
    },
    close: () => client.end(),
  };
}

/** Whether a step was refused because of what is stored: no approval any more, or a hold. */
export function isRefusal(error: unknown): boolean {
  return error instanceof DatabaseError && (error.code === NOT_APPROVED || error.code === HELD);
}
