import type { ColumnType } from 'kysely';

import type { Denial } from '../admission/check.ts';

export type PromotionState = 'pending' | 'approved' | 'denied' | 'rejected';

/** Who asked, as recorded with the promotion. */
export interface Requester {
  readonly id: string;
  readonly kind: string;
  readonly roles: readonly string[];
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
  created_at: Date;
  decided_at: Date | null;
}

declare module '../storage/database.ts' {
  interface Database {
    agent_proofs: AgentProofsTable;
    promotions: PromotionsTable;
  }
}
