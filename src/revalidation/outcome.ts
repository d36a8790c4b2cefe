import type { Denial } from '../admission/check.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { ProofStatement } from '../proofs/statement.ts';

/** What a second look at a governed agent came to; the statement is the old proof's, verified. */
export type RecheckOutcome =
  | { readonly outcome: 'valid'; readonly statement: ProofStatement }
  | { readonly outcome: 'invalid'; readonly denies: readonly Denial[] };

/** The old proof must hold, then the policy of that hash decides. Rejects only when it could not be asked. */
export type Recheck = (subject: AdmissionSubject) => Promise<RecheckOutcome>;

/** A signed proof that takes the place of an earlier one. */
export interface RenewedProof {
  readonly id: string;
  readonly agentId: string;
  readonly envelope: unknown;
  readonly digest: string;
  readonly signerId: string;
  readonly specVersion: number;
  readonly specHash: string;
  readonly policyHash: string;
  readonly promotionId: string;
  readonly previousProofId: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export interface AgentResult {
  readonly agentId: string;
  readonly status: 'GOVERNED_VALID' | 'GOVERNED_INVALIDATED';
  readonly denies?: Denial[];
}
