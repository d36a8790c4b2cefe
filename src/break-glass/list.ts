import type { Clock } from '../clock.ts';
import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { ValidationFailed } from '../http/problem.ts';
import { isUuid } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import type { ElevationListView } from './schema.ts';
import { view } from './service.ts';
import { listElevations } from './store.ts';

/** Elevations in the workspaces named, by id, which is by time. */
export type ListElevations = (
  among: readonly string[] | '*',
  query: { readonly active?: boolean; readonly limit?: number; readonly cursor?: string },
) => Promise<ElevationListView>;

export function createListElevations({ storage, clock }: { storage: Storage; clock: Clock }): ListElevations {
  return async (among, { active = false, limit = DEFAULT_LIMIT, cursor }) => {
    const scope: CursorScope = { route: 'break-glass', workspaceId: '', sort: 'id', filters: { active } };
    const after = cursor === undefined ? undefined : idIn(scope, cursor);
    if (among.length === 0) return { elevations: [], nextCursor: null };
    const now = clock();
    const activeAt = active ? new Date(now) : undefined;
    const rows = await storage.system((trx) => listElevations(trx, among, { after, limit: limit + 1, activeAt }));
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      elevations: shown.map((row) => view(row, now)),
      nextCursor: rows.length > limit && last !== undefined ? encodeCursor(scope, [last.id]) : null,
    };
  };
}

function idIn(scope: CursorScope, cursor: string): string {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key === 'string' && isUuid(key)) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
