import type { ColumnType, Generated } from 'kysely';

import type { Denial } from '../admission/check.ts';

export type PromotionState = 'pending' | 'approved' | 'denied' | 'rejected' | 'lapsed';

/** Why a promotion that was pending ended without anybody's decision. */
export type LapseCause = 'EXPIRED' | 'SPEC_CHANGED' | 'POLICY_CHANGED' | 'AGENT_DELETED' | 'AGENT_GOVERNED';

/** Who asked, as recorded with the promotion. */
export interface Requester {
  readonly id: string;
  readonly kind: string;
  readonly roles: readonly string[];
}

/** Who said no; without the reason once it is erased. */
export interface Rejection {
  readonly id: string;
  readonly kind: string;
  readonly reason?: string;
}

interface AgentProofsTable {
  workspace_id: string;
  id: string;
  agent_id: string;
  envelope: ColumnType<unknown, string, never>;
  spec_version: number;
  spec_hash: string;
  policy_hash: string;
  signer_id: string;
  promotion_id: string;
  previous_proof: string | null;
  issued_at: Date;
  expires_at: Date;
}

export interface PromotionsTable {
  workspace_id: string;
  id: string;
  agent_id: string;
  state: PromotionState;
  requested_by: ColumnType<Requester, string, never>;
  justification: string | null;
  decision_id: string | null;
  denies: ColumnType<readonly Denial[], string, string>;
  proof_id: string | null;
  spec_version: number;
  spec_hash: string;
  policy_hash: string;
  approvals_required: Generated<number>;
  expires_at: Date | null;
  request_decision_id: string | null;
  lapse_cause: LapseCause | null;
  rejection: ColumnType<Rejection | null, string | null, string | null>;
  created_at: Date;
  decided_at: Date | null;
}

export interface PromotionApprovalsTable {
  workspace_id: string;
  promotion_id: string;
  position: number;
  approver_id: string;
  approver_kind: string;
  roles: string[];
  policy_hash: string;
  comment: string | null;
  approved_at: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    agent_proofs: AgentProofsTable;
    promotions: PromotionsTable;
    promotion_approvals: PromotionApprovalsTable;
  }
}
