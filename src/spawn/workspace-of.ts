import type { FastifyRequest } from 'fastify';

import { NotFound, ValidationFailed } from '../http/problem.ts';

// What is found here is `request.foundWorkspace`, before the handler, and before an answer that is kept is given again.

/**
 * Finds the workspace that the caller names, else its only one; the caller's in any case. Throws ValidationFailed at
 * `pointer` where it has to name one, AccessDenied (404) for another's.
 */
export function findNamedWorkspace(request: FastifyRequest, named: string | undefined, pointer: string): void {
  const workspaceId = named ?? onlyWorkspace(request);
  if (workspaceId === undefined) {
    throw new ValidationFailed([{ pointer, detail: 'is needed: the caller may use more than one workspace' }]);
  }
  request.requireWorkspace(workspaceId);
}

/** The one workspace that a caller may use; undefined when it may use several. */
export function onlyWorkspace({ principal }: FastifyRequest): string | undefined {
  const { workspaces } = principal;
  return workspaces !== '*' && workspaces.length === 1 ? workspaces[0] : undefined;
}

/** Finds the workspace of an agent that is named alone. Throws NotFound, or AccessDenied (404) where it is another's. */
export async function findWorkspaceOfAgent(
  request: FastifyRequest,
  agentId: string,
  workspaceOf: (agentId: string) => Promise<string | undefined>,
): Promise<void> {
  const workspaceId = await workspaceOf(agentId);
  if (workspaceId === undefined) throw new NotFound();
  request.requireWorkspace(workspaceId, agentId);
}
