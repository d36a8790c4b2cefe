import type { Denial } from '../admission/check.ts';
import type { Digest } from '../crypto/digest.ts';
import type { DsseEnvelope } from '../crypto/dsse.ts';
import type { NewProof } from '../promotion/issue.ts';

/** A signed proof that takes the place of an earlier one. */
export type RenewedProof = NewProof & {
  readonly previousProofId: string;
  /** What `envelope` refers to; absent for a proof with a signature of its own. */
  readonly statement?: NewStatement;
};

/** A signed statement over several agents, the same object in each of their proofs. */
export interface NewStatement {
  readonly digest: Digest;
  readonly envelope: DsseEnvelope;
}

export interface AgentResult {
  readonly agentId: string;
  readonly status: 'GOVERNED_VALID' | 'GOVERNED_RESTRICTED' | 'GOVERNED_INVALIDATED';
  readonly denies?: Denial[];
}
