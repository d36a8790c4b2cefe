import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { isUuid } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import type { PromotionListView, PromotionView } from './schema.ts';
import { findPromotion, listPromotions, type PromotionRow } from './store.ts';
import type { PromotionState } from './table.ts';

interface PromotionQuery {
  readonly state?: PromotionState;
  readonly agentId?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

/** Promotions as they were decided. */
export interface PromotionLists {
  /** By id ascending. Throws ValidationFailed for a cursor of another list. */
  list(workspaceId: string, query: PromotionQuery): Promise<PromotionListView>;
  /** Throws NotFound. */
  get(workspaceId: string, promotionId: string): Promise<PromotionView>;
}

export function createPromotionLists({ storage }: { storage: Storage }): PromotionLists {
  async function list(workspaceId: string, query: PromotionQuery): Promise<PromotionListView> {
    const { cursor, limit = DEFAULT_LIMIT, ...filters } = query;
    const scope: CursorScope = { route: 'promotions', workspaceId, sort: 'id', filters };
    const after = cursor === undefined ? undefined : idIn(scope, cursor);
    const rows = await storage.read(workspaceId, (trx) =>
      listPromotions(trx, workspaceId, filters, { after, limit: limit + 1 }),
    );
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      promotions: shown.map(view),
      nextCursor: rows.length > limit && last !== undefined ? encodeCursor(scope, [last.id]) : null,
    };
  }

  async function get(workspaceId: string, promotionId: string): Promise<PromotionView> {
    if (!isUuid(promotionId)) throw new NotFound();
    const row = await storage.read(workspaceId, (trx) => findPromotion(trx, workspaceId, promotionId));
    if (row === undefined) throw new NotFound();
    return view(row);
  }

  return { list, get };
}

function view(row: PromotionRow): PromotionView {
  return {
    promotionId: row.id,
    agentId: row.agent_id,
    state: row.state,
    requestedBy: { ...row.requested_by, roles: [...row.requested_by.roles] },
    justification: row.justification,
    decisionId: row.decision_id,
    denies: [...row.denies],
    proofId: row.proof_id,
    specVersion: row.spec_version,
    specHash: row.spec_hash,
    policyHash: row.policy_hash,
    createdAt: row.created_at.toISOString(),
    decidedAt: row.decided_at?.toISOString() ?? null,
  };
}

function idIn(scope: CursorScope, cursor: string): string {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key === 'string' && isUuid(key)) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
