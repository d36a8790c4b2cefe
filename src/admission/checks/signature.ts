import type { DsseEnvelope } from '../../crypto/dsse.ts';
import type { VerificationKey } from '../../crypto/verify.ts';
import { checkSignatureAsync } from '../../proofs/envelope.ts';
import type { SharedProof } from '../../proofs/shared-proof.ts';
import type { ProofStatement } from '../../proofs/statement.ts';
import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { readProof } from '../proof-reading.ts';
import type { AdmissionSubject, ProofSigner } from '../subject.ts';
import { deny } from '../verdict.ts';

/** Whether a signature verifies; may remember what it has verified, never what failed. */
export type VerifyProofSignature = (signed: DsseEnvelope | SharedProof, key: VerificationKey) => Promise<boolean>;

/**
 * The proof is signed by a registered proof signer, with the registry's algorithm and key, within the signer's time,
 * and is about this very agent. A revoked signer's signature may verify here: signerRevocation has the word on that.
 * `refused` is told of each agent whose proof is not.
 */
export function createSignatureCheck(
  verify: VerifyProofSignature = verifyOnce,
  refused: (subject: AdmissionSubject) => void = () => undefined,
): AdmissionCheck {
  return {
    name: 'signature',
    async check(subject) {
      if (subject.mode !== 'governed' || subject.proof === null) return SKIP;
      const problem = await signatureProblem(subject, verify);
      if (problem === undefined) return PASS;
      refused(subject);
      return deny('signature', 'SIGNATURE_INVALID', problem);
    },
  };
}

async function signatureProblem(subject: AdmissionSubject, verify: VerifyProofSignature): Promise<string | undefined> {
  const reading = readProof(subject);
  if (!reading.readable) return `the proof is malformed: ${reading.problem}`;
  const { signer } = subject;
  if (signer === null || signer.signerId !== reading.signerId) return 'the registry does not list the signer';
  const unfit = signerProblem(signer, reading.statement);
  if (unfit !== undefined) return unfit;
  if (signer.key === undefined) return 'the key of the signer is not at hand';
  if (!(await verify(reading.signed, signer.key))) return 'the signature does not verify';
  return strangerProblem(subject, reading.statement);
}

function verifyOnce(signed: DsseEnvelope | SharedProof, key: VerificationKey): Promise<boolean> {
  return checkSignatureAsync('statementFor' in signed ? signed.envelope() : signed, key);
}

function signerProblem(signer: ProofSigner, statement: ProofStatement): string | undefined {
  if (signer.purpose !== 'proof') return `the signer is for ${signer.purpose}, not for proofs`;
  if (signer.state === 'pending') return 'the signer is not in force yet';
  const issuedAt = Date.parse(statement.predicate.issuedAt);
  const tooEarly = signer.notBefore !== null && issuedAt < signer.notBefore.getTime();
  const tooLate = signer.notAfter !== null && issuedAt > signer.notAfter.getTime();
  return tooEarly || tooLate ? 'the signer was not in force when the proof was issued' : undefined;
}

function strangerProblem(subject: AdmissionSubject, { predicate }: ProofStatement): string | undefined {
  if (predicate.workspaceId !== subject.workspaceId) return 'the proof is about an agent of another workspace';
  if (predicate.agentId !== subject.agentId) return 'the proof is about another agent';
  return undefined;
}
