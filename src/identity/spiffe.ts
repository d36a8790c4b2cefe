import { isUuid, isWorkspaceId } from '../ids.ts';

// SPIFFE-ID §2: no port, user, query, fragment, percent-encoding, empty or dot segments, trailing slash.
const SPIFFE_ID = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)+)$/;
const MAX_LENGTH = 2048;
const AGENT_PATH = /^\/ws\/([^/]+)\/agent\/([^/]+)$/;

export interface SpiffeId {
  readonly trustDomain: string;
  readonly path: string;
}

/** The parts of a SPIFFE ID, or undefined when it is none. */
export function parseSpiffeId(uri: string): SpiffeId | undefined {
  const match = uri.length > MAX_LENGTH ? null : SPIFFE_ID.exec(uri);
  const [, trustDomain, path] = match ?? [];
  if (trustDomain === undefined || path === undefined) return undefined;
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) return undefined;
  return { trustDomain, path };
}

/** True for a path in the part of the trust domain that is kept for agents. */
export function isAgentNamespace(path: string): boolean {
  return path === '/ws' || path.startsWith('/ws/');
}

/** The agent a path names, or undefined when it names none. */
export function agentOfPath(path: string): { workspaceId: string; agentId: string } | undefined {
  const [, workspaceId, agentId] = AGENT_PATH.exec(path) ?? [];
  if (workspaceId === undefined || agentId === undefined) return undefined;
  return isWorkspaceId(workspaceId) && isUuid(agentId) ? { workspaceId, agentId } : undefined;
}
