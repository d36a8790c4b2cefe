import type { Denial } from '../admission/check.ts';
import { readProof } from '../admission/proof-reading.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { ProofStatement } from '../proofs/statement.ts';

/** What a second look at a governed agent came to; the statement is the old proof's, verified. */
export type RecheckOutcome =
  | { readonly outcome: 'valid'; readonly statement: ProofStatement }
  | {
      readonly outcome: 'invalid';
      readonly denies: readonly Denial[];
      /** The proof holds and the policy gave no answer: it fails for this agent, or had too little time just now. */
      readonly unanswered?: true;
    };

/**
 * The second look of a revalidation and of a release (contract §7): first the proof that is there must hold (spec,
 * signer, signature, expiry, agent), so that nothing broken is ever renewed; then the active policy is asked about the
 * promoter and the approval recorded in it. Rejects when either could not be found out (overload, database, policy away),
 * so that nobody is quarantined for it.
 */
export type Recheck = (subject: AdmissionSubject) => Promise<RecheckOutcome>;

export function createRecheck(admission: Pick<AdmissionService, 'proofHolds' | 'judge'>): Recheck {
  return async (subject) => {
    const broken = await admission.proofHolds(subject);
    if (broken.length > 0) return { outcome: 'invalid', denies: broken };
    const reading = readProof(subject);
    if (subject.mode !== 'governed' || !reading.readable) return { outcome: 'invalid', denies: [NO_PROOF] };
    const { statement } = reading;
    const { promoter, approvals } = statement.predicate;
    const approval = approvals.at(-1);
    const extra = approval === undefined ? {} : { approval };
    const { denies } = await admission.judge(subject, 'revalidate', promoter, extra);
    if (denies.length === 0) return { outcome: 'valid', statement };
    const unanswered = denies.some(
      ({ code, check }) => code === 'INTERCEPTOR_ERROR' && check === 'castellan.promotion',
    );
    return { outcome: 'invalid', denies, ...(unanswered ? { unanswered } : {}) };
  };
}

/** Only a governed agent has a proof to look at again: the chain above skips for any other. */
const NO_PROOF: Denial = {
  code: 'PROOF_MISSING',
  reason: 'the agent is not governed by a proof',
  severity: 'DENY',
  check: 'proofPresence',
};
