import type { Denial } from '../admission/check.ts';
import type { NewProof } from '../promotion/issue.ts';

/** A signed proof that takes the place of an earlier one. */
export type RenewedProof = NewProof & { readonly previousProofId: string };

export interface AgentResult {
  readonly agentId: string;
  readonly status: 'GOVERNED_VALID' | 'GOVERNED_INVALIDATED';
  readonly denies?: Denial[];
}
