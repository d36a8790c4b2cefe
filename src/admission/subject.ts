import type { VerificationKey } from '../crypto/verify.ts';
import type { Denial } from './check.ts';
import type { SharedReading } from './shared-proofs.ts';

/** The registry's word on the signer that a proof names. */
export interface ProofSigner {
  readonly signerId: string;
  readonly key: VerificationKey | undefined;
  readonly purpose: string;
  readonly state: 'pending' | 'active' | 'retiring' | 'retired' | 'revoked' | 'compromised';
  readonly notBefore: Date | null;
  readonly notAfter: Date | null;
}

/** Everything a decision about one agent rests on, as stored at one moment. */
export interface AdmissionSubject {
  readonly workspaceId: string;
  readonly agentId: string;
  readonly mode: 'sandbox' | 'governed';
  readonly status: string;
  readonly name: string;
  readonly expiresAt: Date | null;
  readonly desiredReplicas: number;
  readonly specVersion: number;
  /** The agents row's own copy of the hash. */
  readonly specHash: string;
  /** The row agent_specs(version = specVersion); null when it is gone. */
  readonly spec: { readonly json: unknown; readonly bytes: Buffer; readonly hash: string } | null;
  /** The row agents.proof_id points to. */
  readonly proof: {
    readonly id: string;
    /** As stored: an envelope, or a reference to a statement over several agents. */
    readonly envelope: unknown;
    /** The statement that is referred to; absent when the proof is no reference. */
    readonly shared?: SharedReading;
    readonly specVersion: number;
    readonly specHash: string;
    readonly policyHash: string;
    readonly promotionId: string;
    readonly expiresAt: Date;
  } | null;
  /** True when any proof was ever issued for the agent, whatever its row says now. */
  readonly everProved: boolean;
  readonly signer: ProofSigner | null;
  readonly policy: {
    readonly policySet: string;
    readonly version: number;
    readonly hash: string;
    /** The event that made it active; null when the chain has a later one, that is: when the head was put back. */
    readonly activationSeq: number | null;
  };
  readonly shadowPolicyHash: string | null;
  readonly invalidation: { readonly at: string; readonly denies: readonly Denial[] } | null;
  readonly quarantine: { readonly at: string; readonly by: string; readonly reason: string } | null;
  readonly workspaceState: 'active' | 'suspended';
  /** The widest switch that is engaged for the agent. */
  readonly killSwitch: 'fleet' | 'workspace' | 'agent' | null;
  readonly rowVersion: number;
  /** Changes whenever any of the rows above was written, by us or by anyone with SQL (from their xmin). */
  readonly fingerprint: string;
  /** Who asks now; for `castellan.runtime`. */
  readonly actor: { readonly id: string; readonly kind: string; readonly roles: readonly string[] };
  readonly now: number;
}
