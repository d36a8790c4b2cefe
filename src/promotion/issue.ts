import { readProof } from '../admission/proof-reading.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { timestamp } from '../clock.ts';
import { type Digest, isDigest } from '../crypto/digest.ts';
import type { DsseEnvelope } from '../crypto/dsse.ts';
import { type Signer, SignerError } from '../crypto/signer.ts';
import type { VerificationKey } from '../crypto/verify.ts';
import { newId } from '../ids.ts';
import { issueProof } from '../proofs/build.ts';
import { proofDigest } from '../proofs/envelope.ts';
import { buildStatement, type ProofPredicate } from '../proofs/statement.ts';

/** ms; nothing is locked while a proof is signed, yet the handler has only 10 s. */
const SIGN_DEADLINE_MS = 2000;

/** What makes new proofs. */
export interface ProofIssuer {
  readonly signer: Signer;
  /** What the registry lists for the signer. Rejects with SignerError when it lists none in force. */
  readonly key: () => Promise<VerificationKey>;
  readonly ttlMs: number;
  /** Ms since the epoch. */
  readonly clock: () => number;
  /** Told of each new proof, with the key that its signature is known to verify with. */
  readonly issued?: (envelope: DsseEnvelope, key: VerificationKey) => void;
}

/** A signed proof, ready to be stored. */
export interface NewProof {
  readonly id: string;
  readonly agentId: string;
  readonly envelope: unknown;
  readonly digest: string;
  readonly signerId: string;
  readonly specVersion: number;
  readonly specHash: string;
  readonly policyHash: string;
  readonly promotionId: string;
  readonly previousProofId?: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export type ProofApproval = ProofPredicate['approvals'][number];

/**
 * The proof of a promotion, for the spec and the policy that it was decided on; one that the agent has is the previous
 * one. Call it only when the policy let it pass. Rejects with SignerError.
 */
export async function issueNewProof(
  issuer: ProofIssuer,
  subject: AdmissionSubject,
  promotion: {
    readonly id: string;
    readonly promoter: { readonly id: string; readonly roles: readonly string[] };
    readonly approvals: readonly ProofApproval[];
  },
): Promise<NewProof & { readonly envelope: DsseEnvelope }> {
  const { workspaceId, agentId, specVersion, policy } = subject;
  const specHash = asDigest(subject.specHash);
  const policyHash = asDigest(policy.hash);
  const previous = previousOf(subject);
  const issuedAt = issuer.clock();
  const expiresAt = issuedAt + issuer.ttlMs;
  const statement = buildStatement({
    workspaceId,
    agentId,
    specVersion,
    specHash,
    policySet: policy.policySet,
    policyVersion: policy.version,
    policyHash,
    promotionId: promotion.id,
    promoter: { id: promotion.promoter.id, roles: [...promotion.promoter.roles] },
    approvals: [...promotion.approvals],
    issuedAt: timestamp(issuedAt),
    expiresAt: timestamp(expiresAt),
    ...(previous === undefined ? {} : { previousProof: previous.digest }),
  });
  const key = await issuer.key();
  const envelope = await issueProof(statement, issuer.signer, key, AbortSignal.timeout(SIGN_DEADLINE_MS));
  issuer.issued?.(envelope, key);
  return {
    id: newId(),
    agentId,
    envelope,
    digest: proofDigest(envelope),
    signerId: issuer.signer.signerId,
    specVersion,
    specHash,
    policyHash,
    promotionId: promotion.id,
    ...(previous === undefined ? {} : { previousProofId: previous.id }),
    issuedAt: new Date(issuedAt),
    expiresAt: new Date(expiresAt),
  };
}

/** The proof that a governed agent has. */
function previousOf(subject: AdmissionSubject): { readonly id: string; readonly digest: Digest } | undefined {
  const reading = readProof(subject);
  return subject.proof === null || !reading.readable ? undefined : { id: subject.proof.id, digest: reading.digest() };
}

/** Throws SignerError for a hash that is no digest: nothing is signed about it. */
export function asDigest(text: string): Digest {
  if (!isDigest(text)) throw new SignerError('a hash that is no digest is not signed');
  return text;
}
