import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { deny } from '../verdict.ts';

/**
 * A governed agent has a proof. A row that says sandbox while the agent was once proved was put back by hand, to get
 * around the checks of governed agents: this one check applies to it whatever its mode says.
 */
export const proofPresence: AdmissionCheck = {
  name: 'proofPresence',
  check({ mode, proof, everProved }) {
    if (mode === 'sandbox') {
      if (!everProved && proof === null) return SKIP;
      return deny('proofPresence', 'PROOF_MISSING', 'the agent was governed, and its row says sandbox');
    }
    if (proof === null) return deny('proofPresence', 'PROOF_MISSING', 'the governed agent has no proof');
    // An envelope that is no object is none at all; one that is malformed is the signature check's to refuse.
    if (typeof proof.envelope === 'object' && proof.envelope !== null) return PASS;
    return deny('proofPresence', 'PROOF_MISSING', 'the stored proof is empty');
  },
};
