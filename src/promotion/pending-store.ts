import type { Selectable } from 'kysely';

import type { Denial } from '../admission/check.ts';
import type { Trx } from '../storage/database.ts';
import type { PendingPromotion } from './pending.ts';
import type { LapseCause, PromotionApprovalsTable, PromotionsTable, Rejection, Requester } from './table.ts';

/** Promotions that one look-up of the job finds. */
const MAX_DUE = 500;

type ApprovalRow = Selectable<PromotionApprovalsTable>;

/** A promotion's row and the approvals it has, in their order. */
export interface StoredPromotion {
  readonly row: Selectable<PromotionsTable>;
  readonly approvals: readonly ApprovalRow[];
}

export interface RequestedPromotion {
  readonly id: string;
  readonly agentId: string;
  readonly requestedBy: Requester;
  readonly justification: string | undefined;
  /** The evaluation of the request. */
  readonly decisionId: string;
  readonly specVersion: number;
  readonly specHash: string;
  readonly policyHash: string;
  readonly approvalsRequired: number;
  readonly expiresAt: Date;
}

/** Stores a promotion that approvers decide. */
export async function insertPending(
  trx: Trx,
  workspaceId: string,
  promotion: RequestedPromotion,
  now: Date,
): Promise<void> {
  const { id, kind, roles } = promotion.requestedBy;
  await trx
    .insertInto('promotions')
    .values({
      workspace_id: workspaceId,
      id: promotion.id,
      agent_id: promotion.agentId,
      state: 'pending',
      requested_by: JSON.stringify({ id, kind, roles }),
      justification: promotion.justification ?? null,
      decision_id: promotion.decisionId,
      request_decision_id: promotion.decisionId,
      denies: '[]',
      spec_version: promotion.specVersion,
      spec_hash: promotion.specHash,
      policy_hash: promotion.policyHash,
      approvals_required: promotion.approvalsRequired,
      expires_at: promotion.expiresAt,
      created_at: now,
    })
    .execute();
}

export async function findStored(trx: Trx, workspaceId: string, id: string): Promise<StoredPromotion | undefined> {
  const row = await trx
    .selectFrom('promotions')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .executeTakeFirst();
  return row === undefined ? undefined : { row, approvals: await approvalsOf(trx, workspaceId, [id]) };
}

/** The one promotion of an agent that waits for approvals. */
export async function findPending(
  trx: Trx,
  workspaceId: string,
  agentId: string,
): Promise<StoredPromotion | undefined> {
  const row = await trx
    .selectFrom('promotions')
    .select('id')
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId)
    .where('state', '=', 'pending')
    .executeTakeFirst();
  return row === undefined ? undefined : findStored(trx, workspaceId, row.id);
}

/** Of several promotions, by promotion and in their order. */
export async function approvalsOf(trx: Trx, workspaceId: string, ids: readonly string[]): Promise<ApprovalRow[]> {
  if (ids.length === 0) return [];
  return trx
    .selectFrom('promotion_approvals')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .where('promotion_id', 'in', [...ids])
    .orderBy('promotion_id')
    .orderBy('position')
    .execute();
}

/** What the rules read of it. */
export function pendingOf({ row, approvals }: StoredPromotion): PendingPromotion {
  return {
    state: row.state,
    lapseCause: row.lapse_cause,
    requesterId: row.requested_by.id,
    approverIds: approvals.map((approval) => approval.approver_id),
    specHash: row.spec_hash,
    policyHash: row.policy_hash,
    expiresAt: row.expires_at,
  };
}

export interface NewApproval {
  readonly promotionId: string;
  readonly position: number;
  readonly approver: Requester;
  readonly policyHash: string;
  readonly comment: string | undefined;
  readonly approvedAt: Date;
  /** What the promotion needs from now on. */
  readonly approvalsRequired: number;
}

export async function insertApproval(trx: Trx, workspaceId: string, approval: NewApproval): Promise<void> {
  const { promotionId, approver } = approval;
  await trx
    .insertInto('promotion_approvals')
    .values({
      workspace_id: workspaceId,
      promotion_id: promotionId,
      position: approval.position,
      approver_id: approver.id,
      approver_kind: approver.kind,
      roles: [...approver.roles],
      policy_hash: approval.policyHash,
      comment: approval.comment ?? null,
      approved_at: approval.approvedAt,
    })
    .execute();
  await ofPending(trx, workspaceId, promotionId)
    .set({ approvals_required: approval.approvalsRequired })
    .executeTakeFirstOrThrow();
}

/** The last evaluation of a pending promotion: approved under its proof, or denied. */
export async function settlePending(
  trx: Trx,
  workspaceId: string,
  promotion: {
    readonly id: string;
    readonly decisionId: string;
    readonly denies: readonly Denial[];
    readonly proofId: string | undefined;
  },
  now: Date,
): Promise<void> {
  await ofPending(trx, workspaceId, promotion.id)
    .set({
      state: promotion.proofId === undefined ? 'denied' : 'approved',
      decision_id: promotion.decisionId,
      denies: JSON.stringify(promotion.denies),
      proof_id: promotion.proofId ?? null,
      decided_at: now,
    })
    .executeTakeFirstOrThrow();
}

export async function storeRejection(
  trx: Trx,
  workspaceId: string,
  id: string,
  rejection: Rejection,
  now: Date,
): Promise<void> {
  await ofPending(trx, workspaceId, id)
    .set({ state: 'rejected', rejection: JSON.stringify(rejection), decided_at: now })
    .executeTakeFirstOrThrow();
}

export async function storeLapse(
  trx: Trx,
  workspaceId: string,
  id: string,
  cause: LapseCause,
  now: Date,
): Promise<void> {
  await ofPending(trx, workspaceId, id)
    .set({ state: 'lapsed', lapse_cause: cause, decided_at: now })
    .executeTakeFirstOrThrow();
}

/** Promotions whose time for approvals is over, in all workspaces; for castellan_system. */
export async function findDue(trx: Trx, now: Date): Promise<{ workspace_id: string; id: string }[]> {
  return trx
    .selectFrom('promotions')
    .select(['workspace_id', 'id'])
    .where('state', '=', 'pending')
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(MAX_DUE)
    .execute();
}

/** What ended once stays as it ended: nothing but a pending row is ever changed. */
function ofPending(trx: Trx, workspaceId: string, id: string) {
  return trx
    .updateTable('promotions')
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .where('state', '=', 'pending');
}
