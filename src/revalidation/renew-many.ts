import type { AdmissionSubject } from '../admission/subject.ts';
import { timestamp } from '../clock.ts';
import { canonicalBytes } from '../crypto/canonical-json.ts';
import { SignerError } from '../crypto/signer.ts';
import { newId } from '../ids.ts';
import type { PolicyHead } from '../policy/head.ts';
import type { ProofIssuer } from '../promotion/issue.ts';
import { proofDigest } from '../proofs/envelope.ts';
import { buildSharedStatement, type OwnFacts } from '../proofs/shared-statement.ts';
import { type ProofStatement, statedSpecHash, subjectFor } from '../proofs/statement.ts';
import type { RenewedProof } from './outcome.ts';
import { asDigest, previousOf, renewProof, signProof } from './renew.ts';

/** Bytes of a payload: base64 makes 64 KiB of it, which a replica reads and keeps as one. */
const MAX_PAYLOAD = 48 * 1024;
/** Bytes of what all agents of a statement share, and of what goes around the payload when it is signed. */
const SHARED_BYTES = 1024;

/** An agent whose proof holds and is to be replaced. */
export interface DueProof {
  readonly subject: AdmissionSubject;
  /** What the old proof says of it, verified. */
  readonly statement: ProofStatement;
}

export interface Renewals {
  readonly proofs: readonly RenewedProof[];
  /** Not all could be signed; the others are as good as if they had been alone. */
  readonly unsigned: boolean;
}

/**
 * New proofs in place of ones that hold, as renewProof makes them, with one signature for as many agents as a statement
 * takes. Never call it for proofs that were not verified. Rejects only when something else than the signer fails.
 */
export async function renewMany(
  issuer: ProofIssuer,
  due: readonly DueProof[],
  head: PolicyHead,
  signal: AbortSignal,
): Promise<Renewals> {
  const maxBytes = Math.min(MAX_PAYLOAD, issuer.signer.maxBytes ?? MAX_PAYLOAD) - SHARED_BYTES;
  const signed = await Promise.all(
    statementsOf(due, maxBytes).map(async (group) => {
      try {
        return await renewGroup(issuer, group, head, signal);
      } catch (error) {
        if (error instanceof SignerError) return undefined;
        throw error;
      }
    }),
  );
  return { proofs: signed.flatMap((proofs) => proofs ?? []), unsigned: signed.includes(undefined) };
}

/** The agents of each statement, so that none is larger than `maxBytes`, unless one agent alone is. */
function statementsOf(due: readonly DueProof[], maxBytes: number): DueProof[][] {
  const groups: DueProof[][] = [];
  let room = 0;
  for (const one of due) {
    const bytes = bytesOf(one);
    const group = groups.at(-1);
    if (group !== undefined && bytes <= room) group.push(one);
    else {
      groups.push([one]);
      room = maxBytes;
    }
    room -= bytes;
  }
  return groups;
}

/** What the agent takes of a payload, with the commas. */
function bytesOf(one: DueProof): number {
  const { specHash, ...own } = ownFacts(one);
  return canonicalBytes(own).length + canonicalBytes(subjectFor(own.agentId, specHash)).length + 2;
}

async function renewGroup(
  issuer: ProofIssuer,
  group: readonly DueProof[],
  head: PolicyHead,
  signal: AbortSignal,
): Promise<RenewedProof[]> {
  const [first, ...more] = group;
  if (first === undefined) return [];
  // A statement over one agent has a form of its own (contract §8).
  if (more.length === 0) return [await renewProof(issuer, first.subject, first.statement, head, signal)];
  const issuedAt = issuer.clock();
  const expiresAt = issuedAt + issuer.ttlMs;
  const common = {
    workspaceId: first.statement.predicate.workspaceId,
    policySet: head.policySet,
    policyVersion: head.version,
    policyHash: asDigest(head.hash),
    issuedAt: timestamp(issuedAt),
    expiresAt: timestamp(expiresAt),
  };
  const envelope = await signProof(issuer, buildSharedStatement(common, group.map(ownFacts)), signal);
  const digest = proofDigest(envelope);
  const statement = { digest, envelope };
  return group.map(({ subject, statement: old }) => ({
    id: newId(),
    agentId: subject.agentId,
    envelope: { statement: digest },
    statement,
    digest,
    signerId: issuer.signer.signerId,
    specVersion: old.predicate.specVersion,
    specHash: statedSpecHash(old),
    policyHash: head.hash,
    promotionId: old.predicate.promotionId,
    previousProofId: previousOf(subject).id,
    issuedAt: new Date(issuedAt),
    expiresAt: new Date(expiresAt),
  }));
}

/** What stays as it was promoted, and the proof it follows. */
function ownFacts({ subject, statement }: DueProof): OwnFacts {
  const { agentId, specVersion, promotionId, promoter, approvals } = statement.predicate;
  const previousProof = previousOf(subject).digest;
  return { agentId, specVersion, promotionId, promoter, approvals, previousProof, specHash: statedSpecHash(statement) };
}
