import type { ProofStatement } from './statement.ts';

/**
 * Whether the approvals in a proof were given for another policy than the active one, so that a workspace that sets
 * `reapproveOnPolicyChange` does not let them carry over (contract §7). A proof of the active policy stands as it is, and
 * so does one that nobody approved.
 */
export function needsReapproval({ predicate }: ProofStatement, activeHash: string): boolean {
  const last = predicate.approvals.at(-1);
  return last !== undefined && predicate.policyHash !== activeHash && last.policyHash !== activeHash;
}
