import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { isUuid } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import { approvalsOf, findStored, type StoredPromotion } from './pending-store.ts';
import type { PromotionListView, PromotionView } from './schema.ts';
import { listPromotions } from './store.ts';
import type { PromotionState } from './table.ts';

interface PromotionQuery {
  readonly state?: PromotionState;
  readonly agentId?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

/** Promotions, what became of them and who approved them. */
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
    const { rows, approvals } = await storage.read(workspaceId, async (trx) => {
      const rows = await listPromotions(trx, workspaceId, filters, { after, limit: limit + 1 });
      const waited = rows.filter((row) => row.approvals_required > 0).map((row) => row.id);
      return { rows, approvals: await approvalsOf(trx, workspaceId, waited) };
    });
    const given = Map.groupBy(approvals, (approval) => approval.promotion_id);
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      promotions: shown.map((row) => view({ row, approvals: given.get(row.id) ?? [] })),
      nextCursor: rows.length > limit && last !== undefined ? encodeCursor(scope, [last.id]) : null,
    };
  }

  async function get(workspaceId: string, promotionId: string): Promise<PromotionView> {
    if (!isUuid(promotionId)) throw new NotFound();
    const stored = await storage.read(workspaceId, (trx) => findStored(trx, workspaceId, promotionId));
    if (stored === undefined) throw new NotFound();
    return view(stored);
  }

  return { list, get };
}

function view({ row, approvals }: StoredPromotion): PromotionView {
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
    approvalsRequired: row.approvals_required,
    approvals: approvals.map(({ approver_id: id, approver_kind: kind, roles, approved_at: approvedAt, comment }) => ({
      id,
      kind,
      roles: [...roles],
      approvedAt: approvedAt.toISOString(),
      comment,
    })),
    requestDecisionId: row.request_decision_id,
    expiresAt: row.expires_at?.toISOString() ?? null,
    lapseCause: row.lapse_cause,
    rejection: row.rejection === null ? null : { ...row.rejection, reason: row.rejection.reason ?? null },
    createdAt: row.created_at.toISOString(),
    decidedAt: row.decided_at?.toISOString() ?? null,
  };
}

function idIn(scope: CursorScope, cursor: string): string {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key === 'string' && isUuid(key)) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
