import type { FastifyRequest } from 'fastify';

import { NotFound, ValidationFailed } from '../http/problem.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The workspace that this request is about, found before its handler, and before an answer that is kept is given again. */
    foundWorkspace: string;
  }
}

/**
 * The workspace that the caller names, else its only one; the caller's in any case. Throws ValidationFailed at `pointer`
 * where it has to name one, AccessDenied (404) for another's.
 */
export function namedWorkspace(request: FastifyRequest, named: string | undefined, pointer: string): string {
  const workspaceId = named ?? onlyWorkspace(request);
  if (workspaceId === undefined) {
    throw new ValidationFailed([{ pointer, detail: 'is needed: the caller may use more than one workspace' }]);
  }
  request.requireWorkspace(workspaceId);
  return workspaceId;
}

/** The one workspace that a caller may use; undefined when it may use several. */
export function onlyWorkspace({ principal }: FastifyRequest): string | undefined {
  const { workspaces } = principal;
  return workspaces !== '*' && workspaces.length === 1 ? workspaces[0] : undefined;
}

/** The workspace of an agent that is named alone. Throws NotFound, or AccessDenied (404) where it is another's. */
export async function workspaceOfAgent(
  request: FastifyRequest,
  agentId: string,
  workspaceOf: (agentId: string) => Promise<string | undefined>,
): Promise<string> {
  const workspaceId = await workspaceOf(agentId);
  if (workspaceId === undefined) throw new NotFound();
  request.requireWorkspace(workspaceId, agentId);
  return workspaceId;
}
