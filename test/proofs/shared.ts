import { buildSharedStatement, type OwnFacts, type SharedStatement } from '../../src/proofs/shared-statement.ts';
import { AGENT, EXPIRES, ISSUED, OTHER_AGENT, POLICY_HASH, SPEC_HASH } from './support.ts';

/** What the agents of a statement of this test have in common. */
export const COMMON = {
  workspaceId: 'demo',
  policySet: 'default',
  policyVersion: 7,
  policyHash: POLICY_HASH,
  issuedAt: new Date(ISSUED).toISOString(),
  expiresAt: new Date(EXPIRES).toISOString(),
};

export function ownFacts(agentId: string, changes: Partial<OwnFacts> = {}): OwnFacts {
  return {
    specHash: SPEC_HASH,
    agentId,
    specVersion: 3,
    promotionId: '0190b8f4-7c00-7000-8000-000000000003',
    promoter: { id: 'spiffe://castellan.dev/human/ada', roles: ['kernel-admin'] },
    approvals: [],
    ...changes,
  };
}

export function sharedStatement(): SharedStatement {
  return buildSharedStatement(COMMON, [ownFacts(AGENT), ownFacts(OTHER_AGENT)]);
}
