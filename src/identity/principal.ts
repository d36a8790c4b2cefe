import type { Role } from '../roles.ts';

export type PrincipalKind = 'human' | 'service' | 'agent';

/** Who calls. Always from the connection or the token, never from a body. */
export interface Principal {
  readonly id: string;
  readonly kind: PrincipalKind;
  readonly roles: readonly Role[];
  /** The workspaces the principal may use, or all of them. */
  readonly workspaces: readonly string[] | '*';
  /** Workspaces in which it may be elevated for some minutes, beside those that an administrator of all may. */
  readonly breakGlass?: readonly string[];
  /** Set exactly when the principal is an agent: the one thing it may see is itself. */
  readonly agent?: { readonly workspaceId: string; readonly agentId: string };
}

/** True when the workspace is one of the principal's. Says nothing about whether it exists. */
export function mayUseWorkspace(principal: Principal, workspaceId: string): boolean {
  return principal.workspaces === '*' || principal.workspaces.includes(workspaceId);
}
