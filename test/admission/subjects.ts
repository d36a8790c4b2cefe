import type { AdmissionSubject } from '../../src/admission/subject.ts';
import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';

const NOW = Date.parse('2026-11-21T12:00:00.000Z');
const SPEC = { name: 'reader' };
const BYTES = canonicalBytes(SPEC);

/** A sandbox agent that may start. */
export function subject(changes: Partial<AdmissionSubject> = {}): AdmissionSubject {
  return {
    workspaceId: 'demo',
    agentId: '0190b8f4-7c00-7000-8000-000000000001',
    mode: 'sandbox',
    status: 'stopped',
    name: 'reader',
    expiresAt: new Date(NOW + 1000),
    desiredReplicas: 0,
    specVersion: 1,
    specHash: sha256Digest(BYTES),
    spec: { json: SPEC, bytes: BYTES, hash: sha256Digest(BYTES) },
    proof: null,
    everProved: false,
    signer: null,
    policy: { policySet: 'default', version: 1, hash: `sha256:${'b'.repeat(64)}`, activationSeq: 2 },
    shadowPolicyHash: null,
    invalidation: null,
    quarantine: null,
    workspaceState: 'active',
    killSwitch: null,
    rowVersion: 1,
    fingerprint: '1',
    actor: { id: 'ada', kind: 'human', roles: ['kernel-admin'] },
    now: NOW,
    ...changes,
  };
}
