import type { AgentStatus } from '../agents/lifecycle.ts';

/** An agent that this supervisor alone may have processes of, and what is wanted of it. */
export interface Claim {
  readonly workspaceId: string;
  readonly agentId: string;
  /** Fencing: a later claim of the agent has a higher one. */
  readonly token: number;
  /** Null: there is no such agent any more. */
  readonly status: AgentStatus | null;
  readonly desiredReplicas: number;
  /** As the row has it. */
  readonly readyReplicas: number;
  readonly generation: number;
  /** Processes of an earlier one have no place any more. */
  readonly startedGeneration: number;
  /** Who started it. */
  readonly startedBy: { readonly id: string; readonly kind: string; readonly roles: readonly string[] } | null;
  /** Its processes must end at once, whatever its status says. */
  readonly isUrgent: boolean;
}

export type ClaimKey = Pick<Claim, 'workspaceId' | 'agentId' | 'token'>;

/** How many replicas of a claimed agent are ready. */
export type ReadyReport = ClaimKey & Pick<Claim, 'generation' | 'readyReplicas'>;

/** One text per agent: no workspace id has a space in it. */
export function keyOf({ workspaceId, agentId }: Pick<Claim, 'workspaceId' | 'agentId'>): string {
  return `${workspaceId} ${agentId}`;
}

/** Replicas that there must be now. */
export function wantedReplicas({ status, isUrgent, desiredReplicas }: Claim): number {
  return !isUrgent && (status === 'starting' || status === 'running') ? desiredReplicas : 0;
}
