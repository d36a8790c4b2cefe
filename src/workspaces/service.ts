import type { AuditAppender, Claim, Unit } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { isWorkspaceId } from '../ids.ts';
import type { PolicyService } from '../policy/service.ts';
import { isUniqueViolation } from '../storage/pg-errors.ts';
import type { Storage } from '../storage/storage.ts';
import { WorkspaceExists } from './errors.ts';
import type { WorkspaceListView, WorkspaceView } from './schema.ts';
import { findWorkspace, insertWorkspace, listWorkspaces, type WorkspaceRow } from './store.ts';

export interface WorkspaceCaller extends Actor {
  readonly traceId: string;
}

/** The tenants. */
export interface WorkspaceService {
  /** A new workspace with its audit chain and the shipped policy, all in one transaction. Throws WorkspaceExists. */
  create(
    request: { workspaceId: string; displayName?: string },
    caller: WorkspaceCaller,
    claim?: Claim<WorkspaceView>,
  ): Promise<WorkspaceView>;
  /** The existing ones among those named, by id. */
  list(among: readonly string[] | '*', query: { limit?: number; cursor?: string }): Promise<WorkspaceListView>;
  /** Throws NotFound. */
  get(workspaceId: string): Promise<WorkspaceView>;
}

export function createWorkspaceService(parts: {
  storage: Storage;
  audit: AuditAppender;
  policy: Pick<PolicyService, 'activateDefault'>;
}): WorkspaceService {
  const { storage, audit, policy } = parts;

  async function create(
    { workspaceId, displayName = workspaceId }: { workspaceId: string; displayName?: string },
    { traceId, ...actor }: WorkspaceCaller,
    claim?: Claim<WorkspaceView>,
  ): Promise<WorkspaceView> {
    if ((await find(workspaceId)) !== undefined) throw new WorkspaceExists();
    const unit: Unit<WorkspaceView> = {
      chain: workspaceId,
      claim,
      creates: true,
      work: async (scope) => {
        const createdAt = new Date(scope.now);
        const row = await insertWorkspace(scope.trx, { id: workspaceId, displayName, createdAt, createdBy: actor.id });
        if (row === undefined) throw new WorkspaceExists();
        scope.append({ type: 'workspace.created', actor, payload: { workspaceId, displayName }, traceId });
        await policy.activateDefault(scope, workspaceId, actor);
        return view(row);
      },
    };
    try {
      return await audit.commit(unit);
    } catch (error) {
      // Another replica created the same chain a moment earlier.
      if (isUniqueViolation(error, 'audit_heads_pkey')) throw new WorkspaceExists();
      throw error;
    }
  }

  async function list(
    among: readonly string[] | '*',
    { limit = DEFAULT_LIMIT, cursor }: { limit?: number; cursor?: string },
  ): Promise<WorkspaceListView> {
    const scope: CursorScope = { route: 'workspaces', workspaceId: '', sort: 'id' };
    const after = cursor === undefined ? '' : idIn(scope, cursor);
    if (among.length === 0) return { workspaces: [], nextCursor: null };
    const rows = await storage.system((trx) => listWorkspaces(trx, among, { after, limit: limit + 1 }));
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      workspaces: shown.map(view),
      nextCursor: rows.length > limit && last !== undefined ? encodeCursor(scope, [last.id]) : null,
    };
  }

  async function get(workspaceId: string): Promise<WorkspaceView> {
    const row = await find(workspaceId);
    if (row === undefined) throw new NotFound();
    return view(row);
  }

  function find(workspaceId: string): Promise<WorkspaceRow | undefined> {
    return storage.read(workspaceId, (trx) => findWorkspace(trx, workspaceId));
  }

  return { create, list, get };
}

/** A workspace as the API shows it. */
export function view(row: WorkspaceRow): WorkspaceView {
  return {
    workspaceId: row.id,
    displayName: row.display_name,
    state: row.state,
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    ...(row.suspended_at === null ? {} : { suspendedAt: row.suspended_at.toISOString() }),
    ...(row.suspended_by === null ? {} : { suspendedBy: row.suspended_by }),
  };
}

function idIn(scope: CursorScope, cursor: string): string {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key === 'string' && isWorkspaceId(key)) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
