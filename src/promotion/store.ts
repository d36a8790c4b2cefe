import { type Selectable, sql } from 'kysely';

import type { Denial } from '../admission/check.ts';
import type { AgentStatus } from '../agents/lifecycle.ts';
import type { Trx } from '../storage/database.ts';
import type { NewProof } from './issue.ts';
import type { PromotionState, PromotionsTable, Requester } from './table.ts';

type PromotionRow = Selectable<PromotionsTable>;

export interface DecidedPromotion {
  readonly id: string;
  readonly agentId: string;
  readonly requestedBy: Requester;
  readonly justification: string | undefined;
  readonly decisionId: string;
  readonly denies: readonly Denial[];
  /** Absent when it was denied. */
  readonly proofId: string | undefined;
  readonly specVersion: number;
  readonly specHash: string;
  readonly policyHash: string;
}

/** Stores a promotion that was decided at once. */
export async function insertPromotion(
  trx: Trx,
  workspaceId: string,
  promotion: DecidedPromotion,
  now: Date,
): Promise<void> {
  const { id, kind, roles } = promotion.requestedBy;
  await trx
    .insertInto('promotions')
    .values({
      workspace_id: workspaceId,
      id: promotion.id,
      agent_id: promotion.agentId,
      state: promotion.proofId === undefined ? 'denied' : 'approved',
      requested_by: JSON.stringify({ id, kind, roles }),
      justification: promotion.justification ?? null,
      decision_id: promotion.decisionId,
      denies: JSON.stringify(promotion.denies),
      proof_id: promotion.proofId ?? null,
      spec_version: promotion.specVersion,
      spec_hash: promotion.specHash,
      policy_hash: promotion.policyHash,
      created_at: now,
      decided_at: now,
    })
    .execute();
}

export async function insertProof(trx: Trx, workspaceId: string, proof: NewProof): Promise<void> {
  await trx
    .insertInto('agent_proofs')
    .values({
      workspace_id: workspaceId,
      id: proof.id,
      agent_id: proof.agentId,
      envelope: JSON.stringify(proof.envelope),
      spec_version: proof.specVersion,
      spec_hash: proof.specHash,
      policy_hash: proof.policyHash,
      signer_id: proof.signerId,
      promotion_id: proof.promotionId,
      previous_proof: proof.previousProofId ?? null,
      issued_at: proof.issuedAt,
      expires_at: proof.expiresAt,
    })
    .execute();
}

/**
 * Makes a sandbox agent a governed one under its proof; `stopped` ends a run that was admitted as a sandbox's. Answers the
 * status it then has.
 */
export async function makeGoverned(
  trx: Trx,
  workspaceId: string,
  agentId: string,
  change: {
    readonly proofId: string;
    readonly stopped: { readonly status: AgentStatus; readonly readyReplicas: number } | undefined;
  },
  now: Date,
): Promise<AgentStatus> {
  const { proofId, stopped } = change;
  const run =
    stopped === undefined
      ? {}
      : { status: stopped.status, desired_replicas: 0, ready_replicas: stopped.readyReplicas, since: now };
  const { status } = await trx
    .updateTable('agents')
    .set({
      mode: 'governed',
      expires_at: null,
      proof_id: proofId,
      ...run,
      version: sql<number>`version + 1`,
      updated_at: now,
    })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', agentId)
    .returning('status')
    .executeTakeFirstOrThrow();
  return status;
}

/** Lifts quarantine and invalidation; the agent stays stopped, under the proof it has or the new one. */
export async function liftQuarantine(
  trx: Trx,
  workspaceId: string,
  agentId: string,
  proofId: string | undefined,
  now: Date,
): Promise<void> {
  await trx
    .updateTable('agents')
    .set({
      status: 'stopped',
      invalidation: null,
      quarantine: null,
      desired_replicas: 0,
      ...(proofId === undefined ? {} : { proof_id: proofId }),
      since: now,
      version: sql<number>`version + 1`,
      updated_at: now,
    })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', agentId)
    .execute();
}

/** How the agent runs, by its row. */
export async function isManaged(trx: Trx, workspaceId: string, agentId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('agents')
    .select('managed')
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', agentId)
    .executeTakeFirstOrThrow();
  return row.managed;
}

/** Promotions after `after` by id. */
export async function listPromotions(
  trx: Trx,
  workspaceId: string,
  filter: { readonly state?: PromotionState; readonly agentId?: string },
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<PromotionRow[]> {
  let query = trx.selectFrom('promotions').selectAll().where('workspace_id', '=', workspaceId);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.agentId !== undefined) query = query.where('agent_id', '=', filter.agentId);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  return query.orderBy('id').limit(page.limit).execute();
}
