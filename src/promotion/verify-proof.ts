import { CanonicalJsonError, canonicalBytes } from '../crypto/canonical-json.ts';
import { type Digest, isDigest, sha256Digest } from '../crypto/digest.ts';
import type { PolicyHead } from '../policy/head.ts';
import type { ProofSigner } from '../proofs/checks.ts';
import { parseProofEnvelope, signerIdOf } from '../proofs/envelope.ts';
import { ProofError } from '../proofs/statement.ts';
import { verifyProof } from '../proofs/verify.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import type { VerifyProofView } from './schema.ts';

/** Says whether a proof holds in this workspace now: with its registry, for its active policy, for the spec given. */
export type VerifyProof = (
  workspaceId: string,
  request: { readonly proof: unknown; readonly spec?: unknown; readonly agentId?: string },
  /** Set when only proofs about that agent may be asked about. */
  onlyAgent?: string,
) => Promise<VerifyProofView>;

export function createVerifyProof(parts: {
  storage: Storage;
  head: (trx: Trx, workspaceId: string) => Promise<PolicyHead>;
  findSigner: (trx: Trx, signerId: string) => Promise<ProofSigner | undefined>;
  clock: () => number;
}): VerifyProof {
  const { storage, head, findSigner, clock } = parts;

  return async (workspaceId, { proof, spec, agentId: named }, onlyAgent) => {
    // To who may ask about one agent alone, a proof of any other is one about another agent.
    if (onlyAgent !== undefined && named !== undefined && named !== onlyAgent)
      return { valid: false, reason: 'MALFORMED' };
    const agentId = onlyAgent ?? named;
    const signerId = signerIn(proof);
    const { policyHash, signer } = await storage.read(workspaceId, async (trx) => ({
      policyHash: (await head(trx, workspaceId)).hash,
      signer: signerId === undefined ? undefined : await findSigner(trx, signerId),
    }));
    const specHash = spec === undefined ? undefined : hashOf(spec);
    const verdict = verifyProof({
      envelope: proof,
      signer: () => signer,
      now: clock(),
      expected: {
        workspaceId,
        ...(isDigest(policyHash) ? { policyHash } : {}),
        ...(specHash === undefined ? {} : { specHash }),
        ...(agentId === undefined ? {} : { agentId }),
      },
    });
    return verdict.valid ? { valid: true } : { valid: false, reason: verdict.reason };
  };
}

/** Whom an envelope names; verifyProof itself tells what is wrong with one that names nobody. */
function signerIn(proof: unknown): string | undefined {
  try {
    return signerIdOf(parseProofEnvelope(proof));
  } catch (error) {
    if (error instanceof ProofError) return undefined;
    throw error;
  }
}

/** No proof is about a value without a canonical form, and no spec has this hash: the hash of nothing. */
function hashOf(spec: unknown): Digest {
  try {
    return sha256Digest(canonicalBytes(spec));
  } catch (error) {
    if (error instanceof CanonicalJsonError) return sha256Digest('');
    throw error;
  }
}
