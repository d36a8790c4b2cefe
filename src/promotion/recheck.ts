import type { Denial } from '../admission/check.ts';
import { readProof } from '../admission/proof-reading.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { ProofStatement } from '../proofs/statement.ts';

/** What a second look at a governed agent came to; the statement is the old proof's, verified. */
type RecheckOutcome =
  | { readonly outcome: 'valid'; readonly statement: ProofStatement }
  | { readonly outcome: 'invalid'; readonly denies: readonly Denial[] };

/**
 * The second look of a revalidation and of a release (contract §7): first the proof that is there must hold (spec,
 * signer, signature, expiry, agent), so that nothing broken is ever renewed; then the active policy is asked about the
 * promoter and the approval recorded in it. Rejects only when the policy could not be asked.
 */
export type Recheck = (subject: AdmissionSubject) => Promise<RecheckOutcome>;

export function createRecheck(admission: Pick<AdmissionService, 'proofHolds' | 'judge'>): Recheck {
  return async (subject) => {
    const broken = await admission.proofHolds(subject);
    if (broken.length > 0) return { outcome: 'invalid', denies: broken };
    const reading = readProof(subject.proof?.envelope);
    if (subject.mode !== 'governed' || !reading.readable) return { outcome: 'invalid', denies: [NO_PROOF] };
    const { statement } = reading;
    const { promoter, approvals } = statement.predicate;
    const approval = approvals.at(-1);
    const extra = approval === undefined ? {} : { approval };
    const { denies } = await admission.judge(subject, 'revalidate', promoter, extra);
    return denies.length === 0 ? { outcome: 'valid', statement } : { outcome: 'invalid', denies };
  };
}

/** Only a governed agent has a proof to look at again: the chain above skips for any other. */
const NO_PROOF: Denial = {
  code: 'PROOF_MISSING',
  reason: 'the agent is not governed by a proof',
  severity: 'DENY',
  check: 'proofPresence',
};
