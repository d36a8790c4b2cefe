import { checkTime } from '../../proofs/checks.ts';
import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { readProof } from '../proof-reading.ts';
import { deny } from '../verdict.ts';

/** The proof has not run out. Its signed times count; the column is only what the renewal job goes by. */
export const proofExpiry: AdmissionCheck = {
  name: 'proofExpiry',
  check(subject) {
    const { mode, proof, now } = subject;
    if (mode !== 'governed' || proof === null) return SKIP;
    const reading = readProof(subject);
    if (!reading.readable) return deny('proofExpiry', 'PROOF_EXPIRED', 'the proof names no time of expiry');
    const refusal = checkTime(reading.statement, now);
    return refusal === undefined ? PASS : deny('proofExpiry', 'PROOF_EXPIRED', `the proof: ${refusal.detail}`);
  },
};
