import type { Digest } from '../crypto/digest.ts';
import type { DsseEnvelope } from '../crypto/dsse.ts';
import { openProof, parseProofEnvelope, proofDigest, signerIdOf } from '../proofs/envelope.ts';
import type { SharedProof } from '../proofs/shared-proof.ts';
import { isShared, statementFor } from '../proofs/shared-statement.ts';
import { ProofError, type ProofStatement } from '../proofs/statement.ts';
import type { AdmissionSubject } from './subject.ts';

type StoredProof = NonNullable<AdmissionSubject['proof']>;

/** What a stored proof says of its agent, **unverified**: the signature check alone makes it count. */
export type ProofReading =
  | {
      readonly readable: true;
      /** What the signature is over. */
      readonly signed: DsseEnvelope | SharedProof;
      readonly signerId: string;
      readonly statement: ProofStatement;
      /** Of the signed payload. */
      readonly digest: () => Digest;
    }
  | { readonly readable: false; readonly problem: string };

// Several checks read the same proof; each subject brings an object of its own, so nothing is shared between reads.
const readings = new WeakMap<StoredProof, ProofReading>();

/** The statement inside an agent's proof as far as it is about that agent, or why there is none. Never throws. */
export function readProof({ agentId, proof }: Pick<AdmissionSubject, 'agentId' | 'proof'>): ProofReading {
  if (proof === null) return { readable: false, problem: 'there is no proof' };
  const known = readings.get(proof);
  if (known !== undefined) return known;
  const reading = proof.shared === undefined ? readOwn(proof.envelope, agentId) : readShared(proof.shared, agentId);
  readings.set(proof, reading);
  return reading;
}

function readShared(shared: NonNullable<StoredProof['shared']>, agentId: string): ProofReading {
  if (!shared.readable) return shared;
  const { proof } = shared;
  const statement = proof.statementFor(agentId);
  if (statement === undefined) return STRANGER;
  return { readable: true, signed: proof, signerId: proof.signerId, statement, digest: () => proof.digest };
}

function readOwn(value: unknown, agentId: string): ProofReading {
  try {
    const envelope = parseProofEnvelope(value);
    const opened = openProof(envelope);
    // One about another agent alone is read all the same: the signature check says so, and the others compare.
    const statement = isShared(opened) ? statementFor(opened, agentId) : opened;
    if (statement === undefined) return STRANGER;
    const digest = () => proofDigest(envelope);
    return { readable: true, signed: envelope, signerId: signerIdOf(envelope), statement, digest };
  } catch (error) {
    if (error instanceof ProofError) return { readable: false, problem: error.message };
    throw error;
  }
}

const STRANGER: ProofReading = { readable: false, problem: 'the proof is about other agents' };
