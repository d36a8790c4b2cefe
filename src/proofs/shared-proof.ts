import { canonicalBytes, canonicalJson } from '../crypto/canonical-json.ts';
import type { Digest } from '../crypto/digest.ts';
import type { DsseEnvelope, DsseSignature } from '../crypto/dsse.ts';
import { openProof, parseProofEnvelope, proofDigest, signerIdOf } from './envelope.ts';
import { buildSharedStatement, factsOf, isShared, type OwnFacts, viewOf } from './shared-statement.ts';
import { PAYLOAD_TYPE, ProofError, type ProofStatement, subjectFor } from './statement.ts';

/** A signed statement over several agents, read once for all of them. **Unverified**, as an opened proof is. */
export interface SharedProof {
  /** Of the payload: what stored proofs refer to it by. */
  readonly digest: Digest;
  readonly signerId: string;
  /** About what it takes in memory, in bytes. */
  readonly weight: number;
  /** What it says of the agent; undefined when it does not name it. */
  statementFor(agentId: string): ProofStatement | undefined;
  /** The envelope it was read from, made anew: kept are the facts alone, for the bytes are twice as large. */
  envelope(): DsseEnvelope;
}

/** The proof that `value` is the envelope of. Throws ProofError for anything but a statement over several agents. */
export function openSharedProof(value: unknown): SharedProof {
  const envelope = parseProofEnvelope(value);
  const statement = openProof(envelope);
  if (!isShared(statement)) throw new ProofError('the statement is over one agent alone');
  const { subjects: _, ...common } = statement.predicate;
  const facts = new Map(interned(factsOf(statement)).map((own) => [own.agentId, own]));
  const signatures: readonly DsseSignature[] = envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig }));
  return {
    digest: proofDigest(envelope),
    signerId: signerIdOf(envelope),
    // About as much as the payload, of which base64 has four characters for three bytes.
    weight: envelope.payload.length,
    statementFor(agentId) {
      const found = facts.get(agentId);
      if (found === undefined) return undefined;
      const { specHash, ...own } = found;
      return viewOf(common, own, subjectFor(agentId, specHash));
    },
    envelope() {
      // Canonical JSON has one spelling, and the payload was found to be in it.
      const payload = canonicalBytes(buildSharedStatement(common, [...facts.values()])).toString('base64');
      return { payloadType: PAYLOAD_TYPE, payload, signatures };
    },
  };
}

/** The same facts, equal ones kept once: the agents of a page mostly have one promoter, and one earlier proof. */
function interned(all: readonly OwnFacts[]): OwnFacts[] {
  const [promoters, approvals] = [new Map<string, OwnFacts['promoter']>(), new Map<string, OwnFacts['approvals']>()];
  const digests = new Map<string, Digest>();
  return all.map(({ previousProof, ...own }) => ({
    ...own,
    promoter: once(promoters, canonicalJson(own.promoter), own.promoter),
    approvals: once(approvals, canonicalJson(own.approvals), own.approvals),
    ...(previousProof === undefined ? {} : { previousProof: once(digests, previousProof, previousProof) }),
  }));
}

function once<T>(known: Map<string, T>, name: string, value: T): T {
  const earlier = known.get(name);
  if (earlier !== undefined) return earlier;
  known.set(name, value);
  return value;
}
