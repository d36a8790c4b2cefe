import type { Digest } from '../crypto/digest.ts';
import type { VerificationKey } from '../crypto/verify.ts';
import { type ProofStatement, statedSpecHash } from './statement.ts';

/** How far the clocks of two replicas may lie apart before a proof counts as issued in the future. */
const CLOCK_TOLERANCE_MS = 60_000;

export type ProofFailure =
  | 'MALFORMED'
  | 'SIGNER_UNKNOWN'
  | 'SIGNER_REVOKED'
  | 'SIGNATURE_INVALID'
  | 'EXPIRED'
  | 'SPEC_HASH_MISMATCH'
  | 'POLICY_HASH_MISMATCH';

/** What the signer registry knows of a signer; times in ms since the epoch. */
export interface ProofSigner {
  readonly key: VerificationKey;
  readonly purpose: string;
  readonly state: 'pending' | 'active' | 'retiring' | 'retired' | 'revoked' | 'compromised';
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** What the proof must be about; only the members given are compared. */
export interface ExpectedProof {
  readonly agentId?: string;
  readonly workspaceId?: string;
  readonly specHash?: Digest;
  readonly specVersion?: number;
  readonly policyHash?: Digest;
}

/** Why a proof does not hold. */
export interface ProofRefusal {
  readonly valid: false;
  readonly reason: ProofFailure;
  readonly detail: string;
}

/** A signer that may not vouch for proofs at all, whatever it signed. */
export function checkSigner(signer: ProofSigner): ProofRefusal | undefined {
  if (signer.purpose !== 'proof')
    return refuse('SIGNER_UNKNOWN', `the signer is for ${signer.purpose}, not for proofs`);
  switch (signer.state) {
    case 'revoked':
    case 'compromised':
      return refuse('SIGNER_REVOKED', `the signer is ${signer.state}`);
    case 'pending':
      return refuse('SIGNER_UNKNOWN', 'the signer is not in force yet');
    case 'active':
    case 'retiring':
    case 'retired':
      return undefined;
  }
}

/** A statement about another agent or workspace is no proof for this one. */
export function checkAgent({ predicate }: ProofStatement, expected: ExpectedProof): ProofRefusal | undefined {
  if (expected.agentId !== undefined && predicate.agentId !== expected.agentId) {
    return refuse('MALFORMED', 'the proof is about another agent');
  }
  if (expected.workspaceId !== undefined && predicate.workspaceId !== expected.workspaceId) {
    return refuse('MALFORMED', 'the proof is about an agent of another workspace');
  }
  return undefined;
}

/** A key vouches only for what it signed in its own time: a retired one for the proofs it left, not for new ones. */
export function checkSignerRange({ predicate }: ProofStatement, signer: ProofSigner): ProofRefusal | undefined {
  const issuedAt = Date.parse(predicate.issuedAt);
  const { notBefore = issuedAt, notAfter = issuedAt } = signer;
  if (issuedAt >= notBefore && issuedAt <= notAfter) return undefined;
  return refuse('SIGNER_UNKNOWN', 'the signer was not in force when the proof was issued');
}

/** `now` in ms since the epoch must lie in [issuedAt, expiresAt). */
export function checkTime({ predicate }: ProofStatement, now: number): ProofRefusal | undefined {
  if (!(now < Date.parse(predicate.expiresAt))) return refuse('EXPIRED', `expired at ${predicate.expiresAt}`);
  if (now + CLOCK_TOLERANCE_MS >= Date.parse(predicate.issuedAt)) return undefined;
  return refuse('EXPIRED', `not valid before ${predicate.issuedAt}`);
}

export function checkSpec(statement: ProofStatement, expected: ExpectedProof): ProofRefusal | undefined {
  if (expected.specHash !== undefined && statedSpecHash(statement) !== expected.specHash) {
    return refuse('SPEC_HASH_MISMATCH', 'the proof binds another spec');
  }
  if (expected.specVersion !== undefined && statement.predicate.specVersion !== expected.specVersion) {
    return refuse('SPEC_HASH_MISMATCH', `the proof binds spec version ${statement.predicate.specVersion}`);
  }
  return undefined;
}

export function checkPolicy({ predicate }: ProofStatement, expected: ExpectedProof): ProofRefusal | undefined {
  if (expected.policyHash === undefined || predicate.policyHash === expected.policyHash) return undefined;
  return refuse('POLICY_HASH_MISMATCH', `the proof binds policy ${predicate.policyHash}`);
}

/** A refusal as a value: verification answers, it does not throw. */
export function refuse(reason: ProofFailure, detail: string): ProofRefusal {
  return { valid: false, reason, detail };
}
