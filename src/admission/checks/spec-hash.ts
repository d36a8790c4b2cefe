import { CanonicalJsonError, canonicalBytes } from '../../crypto/canonical-json.ts';
import { sha256Digest } from '../../crypto/digest.ts';
import { statedSpecHash } from '../../proofs/statement.ts';
import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { readProof } from '../proof-reading.ts';
import type { AdmissionSubject } from '../subject.ts';
import { deny } from '../verdict.ts';

/** The stored spec, in each of its copies, is the one that the proof is about. */
export const specHash: AdmissionCheck = {
  name: 'specHash',
  check(subject) {
    if (subject.mode !== 'governed') return SKIP;
    const problem = storedSpecProblem(subject) ?? provedSpecProblem(subject);
    return problem === undefined ? PASS : deny('specHash', 'SPEC_HASH_MISMATCH', problem);
  },
};

/** The copies of the stored spec agree with each other; for an agent that no proof speaks for yet. */
export const storedSpec: AdmissionCheck = {
  name: 'storedSpec',
  check(subject) {
    const problem = storedSpecProblem(subject);
    return problem === undefined ? PASS : deny('storedSpec', 'SPEC_HASH_MISMATCH', problem);
  },
};

/** Why bytes, JSON column, hash column and the agent's row are not the same spec; undefined when they are. */
function storedSpecProblem({ spec, specHash: rowHash }: AdmissionSubject): string | undefined {
  if (spec === null) return 'the stored spec is gone';
  const computed = sha256Digest(spec.bytes);
  if (spec.hash !== computed) return 'the stored spec does not have its hash';
  if (rowHash !== computed) return "the agent's row names another spec hash";
  if (!isSpelled(spec.json, spec.bytes)) return 'the JSON column is not the stored bytes';
  return undefined;
}

function provedSpecProblem(subject: AdmissionSubject): string | undefined {
  const { proof, specVersion, specHash: rowHash } = subject;
  // Without a proof there is nothing to compare with; proofPresence has refused already.
  if (proof === null) return undefined;
  const reading = readProof(subject);
  if (!reading.readable) return 'the proof names no spec';
  const { statement } = reading;
  if (statedSpecHash(statement) !== rowHash) return 'the proof binds another spec';
  if (statement.predicate.specVersion !== specVersion) return 'the proof binds another version of the spec';
  if (proof.specHash !== rowHash || proof.specVersion !== specVersion) return "the proof's row names another spec";
  return undefined;
}

/** The bytes are canonical, so equal values have equal bytes: no comparison can be fooled by a spelling. */
function isSpelled(json: unknown, bytes: Buffer): boolean {
  try {
    return canonicalBytes(json).equals(bytes);
  } catch (error) {
    if (error instanceof CanonicalJsonError) return false;
    throw error;
  }
}
