import type { AdmissionSubject } from '../admission/subject.ts';
import { invalidationOf } from './damaged.ts';
import type { GovernanceView } from './schema.ts';

/**
 * How an agent stands with the policy of its workspace, from the stored rows that admission reads. Pure. `ownOnly`: whoever
 * asks may see this agent and no other.
 */
export function governanceOf(subject: AdmissionSubject, { ownOnly }: { readonly ownOnly: boolean }): GovernanceView {
  return {
    mode: subject.mode,
    status: statusOf(subject),
    specHash: subject.specHash,
    policyHash: subject.proof?.policyHash ?? null,
    currentPolicyHash: subject.policy.hash,
    proof: ownOnly ? (subject.proof?.envelope ?? null) : envelopeOf(subject.proof),
    ...(subject.invalidation === null ? {} : { invalidation: invalidationOf(subject.invalidation) }),
  };
}

/** The whole envelope, also where the row only refers to it; a row that was damaged is shown as it is. */
function envelopeOf(proof: AdmissionSubject['proof']): unknown {
  if (proof === null) return null;
  return proof.shared?.readable === true ? proof.shared.proof.envelope() : proof.envelope;
}

function statusOf(subject: AdmissionSubject): GovernanceView['status'] {
  if (subject.mode === 'sandbox') return 'SANDBOX';
  // A governed agent without a proof was made so behind our back: nothing vouches for it.
  if (subject.invalidation !== null || subject.proof === null) return 'GOVERNED_INVALIDATED';
  return subject.proof.policyHash === subject.policy.hash ? 'GOVERNED_VALID' : 'GOVERNED_RESTRICTED';
}
