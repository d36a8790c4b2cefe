import { readProof } from '../admission/proof-reading.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { timestamp } from '../clock.ts';
import type { Digest } from '../crypto/digest.ts';
import { SignerError } from '../crypto/signer.ts';
import { newId } from '../ids.ts';
import type { PolicyHead } from '../policy/head.ts';
import type { ProofIssuer } from '../promotion/issue.ts';
import { issueProof } from '../proofs/build.ts';
import { proofDigest } from '../proofs/envelope.ts';
import type { AnyStatement } from '../proofs/shared-statement.ts';
import { buildStatement, type ProofStatement, statedSpecHash } from '../proofs/statement.ts';
import type { RenewedProof } from './outcome.ts';

/** Ms; below the audit signer's patience with a batch, for nothing is locked while proofs are signed. */
export const SIGN_DEADLINE_MS = 2000;
/** A proof is renewed when this part of its life is over. */
const RENEW_AFTER = 2 / 3;

/** True when the proof is of another policy than the active one, or two thirds of its life are over. */
export function needsRenewal({ predicate }: ProofStatement, head: PolicyHead, now: number): boolean {
  if (predicate.policyHash !== head.hash) return true;
  const issuedAt = Date.parse(predicate.issuedAt);
  return now >= issuedAt + (Date.parse(predicate.expiresAt) - issuedAt) * RENEW_AFTER;
}

/**
 * A new proof in place of one that holds: the same promotion, promoter, approvals and spec, for the active policy. Never
 * call it for a proof that was not verified. Rejects with SignerError.
 */
export async function renewProof(
  issuer: ProofIssuer,
  subject: AdmissionSubject,
  old: ProofStatement,
  head: PolicyHead,
  signal: AbortSignal = AbortSignal.timeout(SIGN_DEADLINE_MS),
): Promise<RenewedProof> {
  const previous = previousOf(subject);
  const issuedAt = issuer.clock();
  const expiresAt = issuedAt + issuer.ttlMs;
  const { previousProof: _, ...kept } = old.predicate;
  const statement = buildStatement({
    ...kept,
    specHash: statedSpecHash(old),
    policySet: head.policySet,
    policyVersion: head.version,
    policyHash: asDigest(head.hash),
    issuedAt: timestamp(issuedAt),
    expiresAt: timestamp(expiresAt),
    previousProof: previous.digest,
  });
  const envelope = await signProof(issuer, statement, signal);
  return {
    id: newId(),
    agentId: subject.agentId,
    envelope,
    digest: proofDigest(envelope),
    signerId: issuer.signer.signerId,
    specVersion: kept.specVersion,
    specHash: statedSpecHash(old),
    policyHash: head.hash,
    promotionId: kept.promotionId,
    previousProofId: previous.id,
    issuedAt: new Date(issuedAt),
    expiresAt: new Date(expiresAt),
  };
}

/** The proof that a new one follows: its row, and the digest of what was signed. */
export function previousOf(subject: AdmissionSubject): { readonly id: string; readonly digest: Digest } {
  const reading = readProof(subject);
  if (subject.proof === null || !reading.readable) throw new RangeError('an agent without a proof has none to renew');
  return { id: subject.proof.id, digest: reading.digest() };
}

/** The signed envelope; every failure of the signer is a SignerError. */
export async function signProof(issuer: ProofIssuer, statement: AnyStatement, signal: AbortSignal) {
  try {
    const key = await issuer.key();
    const envelope = await issueProof(statement, issuer.signer, key, signal);
    issuer.issued?.(envelope, key);
    return envelope;
  } catch (cause) {
    throw cause instanceof SignerError ? cause : new SignerError('the proof signer failed', { cause });
  }
}

export function asDigest(text: string): Digest {
  return `sha256:${text.replace(/^sha256:/, '')}`;
}
