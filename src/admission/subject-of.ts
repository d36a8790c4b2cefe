import type { VerificationKey } from '../crypto/verify.ts';
import type { KeyRow } from '../signers/keys.ts';
import type { SharedReading } from './shared-proofs.ts';
import type { SubjectRow } from './store.ts';
import type { AdmissionSubject, ProofSigner } from './subject.ts';

/** The stored rows as the checks read them, nothing judged. `keyOf` gives the key of a registry row. */
export function subjectOf(
  row: SubjectRow,
  context: {
    readonly workspaceId: string;
    readonly actor: AdmissionSubject['actor'];
    readonly now: number;
    readonly keyOf: (row: KeyRow) => VerificationKey | undefined;
    /** The statement that the proof refers to, if it is a reference. */
    readonly shared?: SharedReading | undefined;
  },
): AdmissionSubject {
  const { workspaceId, actor, now, keyOf, shared } = context;
  return {
    workspaceId,
    agentId: row.id,
    mode: row.mode,
    status: row.status,
    name: row.name,
    expiresAt: row.expires_at,
    desiredReplicas: row.desired_replicas,
    specVersion: row.spec_version,
    specHash: row.spec_hash,
    spec: specOf(row),
    proof: proofOf(row, shared),
    everProved: row.ever_proved,
    signer: signerOf(row, keyOf),
    policy: {
      policySet: row.policy_set,
      version: row.policy_version,
      hash: row.policy_hash,
      activationSeq: row.activation_seq,
    },
    shadowPolicyHash: row.shadow_hash,
    invalidation: row.invalidation,
    quarantine: row.quarantine,
    workspaceState: row.workspace_state,
    killSwitch: row.kill_switch,
    rowVersion: row.row_version,
    fingerprint: row.fingerprint,
    actor: { id: actor.id, kind: actor.kind, roles: actor.roles },
    now,
  };
}

function specOf({ spec_json: json, spec_bytes: bytes, stored_spec_hash: hash }: SubjectRow): AdmissionSubject['spec'] {
  return bytes === null || hash === null ? null : { json, bytes, hash };
}

function proofOf(row: SubjectRow, shared: SharedReading | undefined): AdmissionSubject['proof'] {
  const { proof_id: id, proof_spec_version: specVersion, proof_spec_hash: specHash } = row;
  const { proof_policy_hash: policyHash, promotion_id: promotionId, proof_expires_at: expiresAt } = row;
  // A proof row has them all; null means that there is no row.
  if (id === null || specVersion === null || specHash === null) return null;
  if (policyHash === null || promotionId === null || expiresAt === null) return null;
  const stored = { envelope: row.envelope, ...(shared === undefined ? {} : { shared }) };
  return { id, ...stored, specVersion, specHash, policyHash, promotionId, expiresAt };
}

function signerOf(row: SubjectRow, keyOf: (row: KeyRow) => VerificationKey | undefined): ProofSigner | null {
  const { signer_id: signerId, alg, purpose, signer_state: state } = row;
  if (signerId === null || alg === null || purpose === null || state === null) return null;
  const key = keyOf({ signer_id: signerId, alg, public_key: row.public_key });
  return { signerId, key, purpose, state, notBefore: row.not_before, notAfter: row.not_after };
}
