import { SYSTEM_CHAIN } from '../ids.ts';

/** Whom a switch keeps from starting: every agent, those of one workspace, or one of them. */
export type KillSwitchTarget =
  | { readonly scope: 'fleet' }
  | { readonly scope: 'workspace'; readonly workspaceId: string }
  | { readonly scope: 'agent'; readonly workspaceId: string; readonly agentId: string };

/** Where a switch is kept: the chain of its events, and the agent it names there. */
export interface SwitchKey {
  readonly chain: string;
  /** Empty for more than one agent. */
  readonly agentId: string;
}

export function keyOf(target: KillSwitchTarget): SwitchKey {
  return {
    chain: target.scope === 'fleet' ? SYSTEM_CHAIN : target.workspaceId,
    agentId: target.scope === 'agent' ? target.agentId : '',
  };
}
