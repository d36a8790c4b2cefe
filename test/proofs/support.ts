import type { VerificationKey } from '../../src/crypto/verify.ts';
import { verificationKey } from '../../src/crypto/verify.ts';
import type { ProofSigner } from '../../src/proofs/checks.ts';
import { buildStatement, type ProofStatement } from '../../src/proofs/statement.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';

export const AGENT = '0190b8f4-7c00-7000-8000-000000000001';
export const OTHER_AGENT = '0190b8f4-7c00-7000-8000-000000000002';
export const SPEC_HASH = `sha256:${'a'.repeat(64)}` as const;
export const POLICY_HASH = `sha256:${'b'.repeat(64)}` as const;
export const OTHER_HASH = `sha256:${'c'.repeat(64)}` as const;
export const ISSUED = Date.parse('2026-11-01T00:00:00.000Z');
export const EXPIRES = Date.parse('2027-01-30T00:00:00.000Z');

type Facts = Parameters<typeof buildStatement>[0];

export function facts(changes: Partial<Facts> = {}): Facts {
  return {
    specHash: SPEC_HASH,
    workspaceId: 'demo',
    agentId: AGENT,
    specVersion: 3,
    policySet: 'default',
    policyVersion: 7,
    policyHash: POLICY_HASH,
    promotionId: '0190b8f4-7c00-7000-8000-000000000003',
    promoter: { id: 'spiffe://castellan.dev/human/ada', roles: ['kernel-admin'] },
    approvals: [
      { id: 'bob', roles: ['kernel-approver'], policyHash: POLICY_HASH, approvedAt: '2026-10-31T23:59:59.000Z' },
    ],
    issuedAt: new Date(ISSUED).toISOString(),
    expiresAt: new Date(EXPIRES).toISOString(),
    ...changes,
  };
}

export function statement(changes: Partial<Facts> = {}): ProofStatement {
  return buildStatement(facts(changes));
}

/** A real signer and the entry the registry would hold for it. */
export function signerPair(signerId: string, changes: Partial<ProofSigner> = {}) {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const key: VerificationKey = verificationKey('Ed25519', publicKeyPem);
  const entry: ProofSigner = { key, purpose: 'proof', state: 'active', ...changes };
  return { signer: createLocalSigner({ signerId, privateKeyPem }), entry, key };
}
