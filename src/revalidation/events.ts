import type { Denial } from '../admission/check.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import type { RenewedProof } from './outcome.ts';
import type { Invalidation } from './store.ts';

/** Denials of one agent in its event, and characters of each text: an event's body is bounded. */
const MAX_DENIES = 32;
const MAX_TEXT = 500;
const ACTOR: Actor = { id: 'castellan', kind: 'system' };

/** The event of an agent that failed. */
export function appendInvalidation(
  scope: UnitScope,
  run: { readonly id: string; readonly policyHash: string },
  { subject, invalidation }: { readonly subject: AdmissionSubject; readonly invalidation: Invalidation },
): void {
  const { agentId, status } = subject;
  const wasRunning = ['starting', 'running', 'stopping'].includes(status);
  const denies = bounded(invalidation.denies);
  const payload = { agentId, revalidationId: run.id, policyHash: run.policyHash, wasRunning, denies };
  scope.append({ type: 'agent.invalidated', actor: ACTOR, payload });
}

/** The events of agents that passed and have new proofs: one for all that share a statement. */
export function appendRenewals(scope: UnitScope, run: { readonly id: string }, proofs: readonly RenewedProof[]): void {
  for (const [statement, agents] of Map.groupBy(proofs, (proof) => proof.statement)) {
    const [first] = agents;
    if (statement === undefined || first === undefined) for (const proof of agents) appendRenewal(scope, run, proof);
    else {
      scope.append({
        type: 'proof.mass.renewed',
        actor: ACTOR,
        payload: {
          revalidationId: run.id,
          statementDigest: statement.digest,
          policyHash: first.policyHash,
          signerId: first.signerId,
          expiresAt: first.expiresAt.toISOString(),
          agents: agents.map(({ agentId, id: proofId, previousProofId }) => ({ agentId, proofId, previousProofId })),
        },
      });
    }
  }
}

function appendRenewal(scope: UnitScope, run: { readonly id: string }, proof: RenewedProof): void {
  const { agentId, policyHash } = proof;
  scope.append({
    type: 'proof.renewed',
    actor: ACTOR,
    payload: {
      agentId,
      proofId: proof.id,
      previousProofId: proof.previousProofId,
      proofDigest: proof.digest,
      policyHash,
      signerId: proof.signerId,
      expiresAt: proof.expiresAt.toISOString(),
    },
  });
  scope.append({ type: 'agent.revalidated', actor: ACTOR, payload: { agentId, revalidationId: run.id, policyHash } });
}

/** As much of the denials as an event holds; the agent's row has them in full. */
function bounded(denies: readonly Denial[]) {
  return denies.slice(0, MAX_DENIES).map(({ code, reason, severity, check }) => ({
    code: clip(code),
    reason: clip(reason),
    severity,
    check: clip(check),
  }));
}

function clip(text: string): string {
  return text.slice(0, MAX_TEXT).toWellFormed();
}
