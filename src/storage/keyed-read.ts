import { StorageError } from './pg-errors.ts';
import { byWorkspace, type Routine, requireWorkspaceId, tableRoutine } from './session.ts';
import type { Storage } from './storage.ts';

/** Statements of one kind at once; what comes meanwhile shares the next one. */
const MAX_STATEMENTS = 4;
/** Rows for which another statement is sent beside those under way: fewer wait for the end of one, */
const WORTH_ANOTHER = 32;
/** but not longer than this, in ms: a connection that hangs must not hold up all reads. */
const PATIENCE_MS = 50;
/** Rows asked for in one statement. */
const MAX_KEYS = 128;

interface Asked<R> {
  readonly workspaceId: string;
  readonly id: string;
  readonly resolve: (row: R | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** Rows that a function over (workspace, id) lists returns. */
export type KeyedRow = { readonly workspace: string; readonly id: string };

/** Reads one row; undefined when the workspace has none of that id. */
export type KeyedRead<R> = (workspaceId: string, id: string) => Promise<R | undefined>;

/**
 * One row by workspace and id. Requests that arrive together are read together, by a function that gives to each workspace
 * only its own; a row that cannot be read fails only those who asked for it.
 */
export function createKeyedRead<R extends KeyedRow>(storage: Pick<Storage, 'call'>, name: string): KeyedRead<R> {
  const routine: Routine = tableRoutine(name, 3);
  const waiting: Asked<R>[] = [];
  let statements = 0;
  let scheduled = false;
  let sentAt = 0;
  let isPumpDue = false;

  function pump(): void {
    scheduled = false;
    while (waiting.length > 0 && maySend()) {
      const asked = waiting.splice(0, MAX_KEYS);
      statements += 1;
      sentAt = performance.now();
      void answer(asked).finally(() => {
        statements -= 1;
        pump();
      });
    }
    if (waiting.length === 0 || isPumpDue) return;
    isPumpDue = true;
    setTimeout(() => {
      isPumpDue = false;
      pump();
    }, PATIENCE_MS);
  }

  function maySend(): boolean {
    if (statements === 0) return true;
    if (statements >= MAX_STATEMENTS) return false;
    return waiting.length >= WORTH_ANOTHER || performance.now() - sentAt >= PATIENCE_MS;
  }

  async function answer(asked: readonly Asked<R>[]): Promise<void> {
    try {
      const { workspaces, counts, rows: keys } = byWorkspace(asked);
      const rows = await storage.call<R>(routine, [workspaces, counts, keys.map((key) => key.id)]);
      const found = new Map(rows.map((row) => [`${row.workspace} ${row.id}`, row]));
      for (const one of asked) one.resolve(found.get(`${one.workspaceId} ${one.id}`));
    } catch (error) {
      if (isAway(error) || asked.length === 1) for (const one of asked) one.reject(error);
      else for (const one of asked) await answer([one]);
    }
  }

  return async (workspaceId, id) => {
    requireWorkspaceId(workspaceId);
    const { promise, resolve, reject } = Promise.withResolvers<R | undefined>();
    waiting.push({ workspaceId, id, resolve, reject });
    // After the sockets that are readable now have been read: their requests belong together.
    if (!scheduled) setImmediate(pump);
    scheduled = true;
    return promise;
  };
}

function isAway(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'DATABASE_UNAVAILABLE';
}
