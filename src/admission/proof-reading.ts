import type { DsseEnvelope } from '../crypto/dsse.ts';
import { openProof, parseProofEnvelope, signerIdOf } from '../proofs/envelope.ts';
import { ProofError, type ProofStatement } from '../proofs/statement.ts';

/** What a stored envelope says, **unverified**: the signature check alone makes it count. */
export type ProofReading =
  | {
      readonly readable: true;
      readonly envelope: DsseEnvelope;
      readonly signerId: string;
      readonly statement: ProofStatement;
    }
  | { readonly readable: false; readonly problem: string };

// Four checks read the same envelope; each subject brings an object of its own, so nothing is shared between reads.
const readings = new WeakMap<object, ProofReading>();

/** The statement inside a stored envelope, or why there is none. Never throws. */
export function readProof(envelope: unknown): ProofReading {
  if (typeof envelope !== 'object' || envelope === null) return { readable: false, problem: 'there is no envelope' };
  const known = readings.get(envelope);
  if (known !== undefined) return known;
  const reading = read(envelope);
  readings.set(envelope, reading);
  return reading;
}

function read(value: object): ProofReading {
  try {
    const envelope = parseProofEnvelope(value);
    return { readable: true, envelope, signerId: signerIdOf(envelope), statement: openProof(envelope) };
  } catch (error) {
    if (error instanceof ProofError) return { readable: false, problem: error.message };
    throw error;
  }
}
