import type { Digest } from '../crypto/digest.ts';
import {
  checkAgent,
  checkPolicy,
  checkSigner,
  checkSignerRange,
  checkSpec,
  checkTime,
  type ExpectedProof,
  type ProofRefusal,
  type ProofSigner,
  refuse,
} from './checks.ts';
import { checkSignature, openProof, parseProofEnvelope, signerIdOf } from './envelope.ts';
import { type AnyStatement, isShared, statementFor } from './shared-statement.ts';
import { ProofError, type ProofStatement } from './statement.ts';

export interface ProofQuestion {
  /** As it came in: any JSON value. */
  readonly envelope: unknown;
  readonly signer: (signerId: string) => ProofSigner | undefined;
  /** Ms since the epoch. */
  readonly now: number;
  readonly expected?: ExpectedProof;
}

export type ProofVerdict = { readonly valid: true; readonly statement: ProofStatement } | ProofRefusal;

/**
 * Whether a proof holds. The first failure in this order is the answer: the envelope's form (MALFORMED) → the signer
 * (SIGNER_UNKNOWN, SIGNER_REVOKED) → SIGNATURE_INVALID → the statement's form and the agent it is about (MALFORMED) →
 * the signer's validity when it was issued (SIGNER_UNKNOWN) → EXPIRED → SPEC_HASH_MISMATCH → POLICY_HASH_MISMATCH.
 * The payload is not parsed before its signature holds, so a changed payload is SIGNATURE_INVALID however it is broken.
 */
export function verifyProof({ envelope: value, signer: lookup, now, expected = {} }: ProofQuestion): ProofVerdict {
  try {
    const envelope = parseProofEnvelope(value);
    const signer = lookup(signerIdOf(envelope));
    if (signer === undefined) return refuse('SIGNER_UNKNOWN', 'the registry does not list this signer');
    const distrusted = checkSigner(signer);
    if (distrusted !== undefined) return distrusted;
    if (!checkSignature(envelope, signer.key)) return refuse('SIGNATURE_INVALID', 'the signature does not verify');
    const statement = statementMeant(openProof(envelope), expected);
    if ('valid' in statement) return statement;
    return (
      checkAgent(statement, expected) ??
      checkSignerRange(statement, signer) ??
      checkTime(statement, now) ??
      checkSpec(statement, expected) ??
      checkPolicy(statement, expected) ?? { valid: true, statement }
    );
  } catch (error) {
    if (error instanceof ProofError) return refuse('MALFORMED', error.message);
    throw error;
  }
}

/**
 * Of a statement over several agents the one that is asked about: the agent that is expected, or else the only one with the
 * spec that is expected. When nobody has that spec, whoever is meant has another: checkSpec says so.
 */
function statementMeant(statement: AnyStatement, { agentId, specHash }: ExpectedProof): ProofStatement | ProofRefusal {
  if (!isShared(statement)) return statement;
  const asked = agentId ?? agentWithSpec(statement, specHash);
  if (asked === undefined) return refuse('MALFORMED', 'the proof is about several agents: say which one is meant');
  return statementFor(statement, asked) ?? refuse('MALFORMED', 'the proof is about another agent');
}

function agentWithSpec({ subject }: AnyStatement, specHash: Digest | undefined): string | undefined {
  if (specHash === undefined) return undefined;
  const [first, ...more] = subject.filter(({ digest }) => `sha256:${digest.sha256}` === specHash);
  if (more.length > 0) return undefined;
  return (first ?? subject[0])?.name;
}
