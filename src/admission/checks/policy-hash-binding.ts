import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { readProof } from '../proof-reading.ts';
import { deny } from '../verdict.ts';

const NAME = 'policyHashBinding';
const CODE = 'POLICY_HASH_MISMATCH';

/** The proof was made under the policy that is active now. RESTRICT: the agent is intact, a revalidation mends it. */
export const policyHashBinding: AdmissionCheck = {
  name: NAME,
  check(subject) {
    const { mode, proof, policy } = subject;
    if (mode !== 'governed' || proof === null) return SKIP;
    const reading = readProof(subject);
    if (!reading.readable) return deny(NAME, CODE, 'the proof names no policy', 'RESTRICT');
    const { policyHash } = reading.statement.predicate;
    // The signed word first; the column is what lists and revalidation go by.
    if (policyHash !== policy.hash) return deny(NAME, CODE, `the proof binds policy ${policyHash}`, 'RESTRICT');
    if (proof.policyHash !== policy.hash) return deny(NAME, CODE, "the proof's row names another policy", 'RESTRICT');
    return PASS;
  },
};
