import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { isUuid } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import type { AgentStatus } from './lifecycle.ts';
import { known } from './lookup.ts';
import { agentView, statusView, versionView } from './representation.ts';
import type { AgentListView, RunStatusView, SpecVersionListView, StatusListView } from './schema.ts';
import { foldName } from './spec.ts';
import {
  type AgentFilter,
  COUNT_LIMIT,
  countAgents,
  keptTotal,
  listAgents,
  listStatuses,
  listVersions,
  runStatusRead,
  workspaceExists,
} from './store.ts';

interface Page {
  readonly limit?: number;
  readonly cursor?: string;
}

/** What can be looked through: agents, their run states, the versions of a spec. All by id or version, ascending. */
export interface AgentLists {
  agents(workspaceId: string, query: AgentFilter & Page): Promise<AgentListView>;
  statuses(
    workspaceId: string,
    query: Page & { readonly status?: AgentStatus; readonly page?: number },
  ): Promise<StatusListView>;
  status(workspaceId: string, agentId: string): Promise<RunStatusView>;
  /** Also for a deleted agent: its specs are evidence. */
  versions(workspaceId: string, agentId: string, query: Page): Promise<SpecVersionListView>;
}

export function createAgentLists({ storage }: { storage: Storage }): AgentLists {
  const readStatus = runStatusRead(storage);

  async function agents(workspaceId: string, query: AgentFilter & Page): Promise<AgentListView> {
    const { limit = DEFAULT_LIMIT, cursor, ...asked } = query;
    const filter = folded(asked);
    const scope: CursorScope = { route: 'agents', workspaceId, sort: 'id', filters: { ...filter } };
    const after = cursor === undefined ? undefined : idIn(scope, cursor);
    return storage.read(workspaceId, async (trx) => {
      await requireWorkspace(trx, workspaceId);
      const { rows, more } = await listAgents(trx, workspaceId, filter, { after, limit });
      return {
        agents: rows.map(agentView),
        ...(await totalOf(trx, workspaceId, filter)),
        nextCursor: next(scope, more, rows.at(-1)?.id),
      };
    });
  }

  async function statuses(
    workspaceId: string,
    query: Page & { readonly status?: AgentStatus; readonly page?: number },
  ): Promise<StatusListView> {
    const { limit = DEFAULT_LIMIT, cursor, page, status } = query;
    if (page !== undefined && cursor !== undefined) {
      throw new ValidationFailed([{ pointer: '/query/page', detail: 'excludes cursor' }]);
    }
    const scope: CursorScope = { route: 'statuses', workspaceId, sort: 'id', filters: { status } };
    const after = cursor === undefined ? undefined : idIn(scope, cursor);
    const offset = ((page ?? 1) - 1) * limit;
    return storage.read(workspaceId, async (trx) => {
      await requireWorkspace(trx, workspaceId);
      const rows = await listStatuses(trx, workspaceId, status, { after, offset, limit: limit + 1 });
      const shown = rows.slice(0, limit);
      return {
        agents: shown.map(statusView),
        total: await keptTotal(trx, workspaceId, { status }),
        nextCursor: next(scope, rows.length > limit, shown.at(-1)?.id),
      };
    });
  }

  async function status(workspaceId: string, agentId: string): Promise<RunStatusView> {
    const row = await readStatus(workspaceId, known(agentId));
    if (row === undefined) throw new NotFound();
    return statusView(row);
  }

  async function versions(workspaceId: string, agentId: string, query: Page): Promise<SpecVersionListView> {
    const { limit = DEFAULT_LIMIT, cursor } = query;
    const scope: CursorScope = { route: `versions/${known(agentId)}`, workspaceId, sort: 'version' };
    const after = cursor === undefined ? 0 : versionIn(scope, cursor);
    return storage.read(workspaceId, async (trx) => {
      const { rows, more } = await listVersions(trx, workspaceId, agentId, { after, limit });
      // Every agent has a first version, so an empty first page is no agent.
      if (rows.length === 0 && after === 0) throw new NotFound();
      return { versions: rows.map(versionView), nextCursor: next(scope, more, rows.at(-1)?.version) };
    });
  }

  return { agents, statuses, status, versions };
}

function folded(filter: AgentFilter): AgentFilter {
  const { search, ...others } = filter;
  // The empty text is part of every name.
  return search === undefined || search === '' ? others : { ...others, search: foldName(search) };
}

async function totalOf(
  trx: Trx,
  workspaceId: string,
  filter: AgentFilter,
): Promise<{ total: number; totalIsLowerBound?: true }> {
  if (filter.search === undefined && filter.capability === undefined) {
    return { total: await keptTotal(trx, workspaceId, filter) };
  }
  const counted = await countAgents(trx, filter);
  return counted > COUNT_LIMIT ? { total: COUNT_LIMIT, totalIsLowerBound: true } : { total: counted };
}

/** A principal of all workspaces may ask for one that does not exist, whose lists would only look empty. */
async function requireWorkspace(trx: Trx, workspaceId: string): Promise<void> {
  if (!(await workspaceExists(trx, workspaceId))) throw new NotFound();
}

function next(scope: CursorScope, more: boolean, last: string | number | undefined): string | null {
  return more && last !== undefined ? encodeCursor(scope, [last]) : null;
}

function idIn(scope: CursorScope, cursor: string): string {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key !== 'string' || !isUuid(key)) throw badCursor();
  return key;
}

function versionIn(scope: CursorScope, cursor: string): number {
  const [key] = decodeCursor(scope, cursor);
  // PostgreSQL's integer ends at 2^31-1.
  if (typeof key !== 'number' || !Number.isInteger(key) || key < 0 || key > 2_147_483_647) throw badCursor();
  return key;
}

function badCursor(): ValidationFailed {
  return new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
