import { found, known } from '../agents/lookup.ts';
import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { isUuid } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import type { RunListView, RunStatus } from './schema.ts';
import { findRun, listRuns, type RunRow } from './store.ts';
import { summaryOf } from './views.ts';

/** Reads the runs of an agent. */
export interface RunReads {
  /** Throws NotFound. */
  get(workspaceId: string, agentId: string, runId: string): Promise<RunRow>;
  /** By id ascending, that is in the order of time, without results. Throws ValidationFailed for a bad cursor. */
  list(
    workspaceId: string,
    agentId: string,
    query: { readonly status?: RunStatus; readonly limit?: number; readonly cursor?: string },
  ): Promise<RunListView>;
}

export function createRunReads(storage: Pick<Storage, 'read'>): RunReads {
  async function get(workspaceId: string, agentId: string, runId: string): Promise<RunRow> {
    if (!isUuid(runId) || !isUuid(agentId)) throw new NotFound();
    return found(await storage.read(workspaceId, (trx) => findRun(trx, workspaceId, agentId, runId)));
  }

  async function list(
    workspaceId: string,
    agentId: string,
    query: { readonly status?: RunStatus; readonly limit?: number; readonly cursor?: string },
  ): Promise<RunListView> {
    known(agentId);
    const { status, limit = DEFAULT_LIMIT, cursor } = query;
    const scope: CursorScope = { route: 'sandbox-runs', workspaceId, sort: 'id', filters: { agentId, status } };
    const after = cursor === undefined ? undefined : idIn(scope, cursor);
    const rows = await storage.read(workspaceId, (trx) =>
      listRuns(trx, workspaceId, agentId, { status, after, limit: limit + 1 }),
    );
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    const more = rows.length > limit && last !== undefined;
    return { runs: shown.map(summaryOf), next_cursor: more ? encodeCursor(scope, [last.id]) : null };
  }

  return { get, list };
}

function idIn(scope: CursorScope, cursor: string): string {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key === 'string' && isUuid(key)) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
