import type { FastifyRequest } from 'fastify';
import { isWorkspaceId, SYSTEM_CHAIN } from '../ids.ts';
import { AccessDenied, type DeniedAccess } from './errors.ts';
import { isGranted, isPermission } from './permissions.ts';
import { mayUseWorkspace, type Principal } from './principal.ts';

const CHANGING = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

/** Throws AccessDenied unless the route's own declarations let this principal in. */
export function requireAccess(principal: Principal, request: FastifyRequest): void {
  const { permission, scope } = request.routeOptions.config;
  if (permission === 'authenticated') return;
  const workspaceId = paramOf(request, 'workspaceId');
  if (workspaceId !== undefined) {
    requireWorkspace(principal, request, workspaceId);
    requirePermission(principal, request, permission, workspaceId);
  } else {
    requirePermission(principal, request, permission, undefined);
    if (scope !== 'agent') requireGlobal(principal, request);
  }
  if (principal.agent !== undefined) {
    requireOwnAgent(principal, request, paramOf(request, 'agentId') ?? paramOf(request, 'agent_id'));
  }
}

/**
 * Throws AccessDenied (404) unless the workspace is the caller's and, for an agent, unless `agentId` (when given) is its own.
 * For routes that find their workspace themselves.
 */
export function requireWorkspace(
  principal: Principal,
  request: FastifyRequest,
  workspaceId: string,
  agentId?: string,
): void {
  if (!isWorkspaceId(workspaceId)) throw AccessDenied.foreign(facts(principal, request, 'FOREIGN_WORKSPACE'));
  if (!mayUseWorkspace(principal, workspaceId)) {
    throw AccessDenied.foreign({ ...facts(principal, request, 'FOREIGN_WORKSPACE'), workspaceId });
  }
  if (principal.agent !== undefined && agentId !== undefined && principal.agent.agentId !== agentId) {
    throw AccessDenied.foreign({ ...facts(principal, request, 'FOREIGN_AGENT'), workspaceId });
  }
}

function requirePermission(
  principal: Principal,
  request: FastifyRequest,
  permission: string | undefined,
  workspaceId: string | undefined,
): void {
  // The route contract keeps such a route from booting; this is the second lock.
  if (permission === undefined || !isPermission(permission))
    throw denied(principal, request, 'NOT_DECLARED', workspaceId);
  // For which workspaces is the route's to ask.
  if (permission === 'access.elevate' && principal.breakGlass !== undefined) return;
  if (!isGranted(principal.roles, permission)) throw denied(principal, request, 'ROLE', workspaceId);
}

function requireGlobal(principal: Principal, request: FastifyRequest): void {
  const { readOnly, allWorkspaces } = request.routeOptions.config;
  const changes = CHANGING.has(request.method) && readOnly !== true;
  if ((changes || allWorkspaces === true) && principal.workspaces !== '*') {
    throw denied(principal, request, 'ALL_WORKSPACES_NEEDED', undefined);
  }
}

function requireOwnAgent(principal: Principal, request: FastifyRequest, agentId: string | undefined): void {
  const own = principal.agent;
  if (own === undefined || agentId === own.agentId) return;
  if (agentId !== undefined) {
    throw AccessDenied.foreign({ ...facts(principal, request, 'FOREIGN_AGENT'), workspaceId: own.workspaceId });
  }
  // A list or a summary shows other agents too, unless its handler says that it narrows to the caller.
  if (request.routeOptions.config.ownOnly !== 'handler') throw denied(principal, request, 'ROLE', own.workspaceId);
}

function denied(
  principal: Principal,
  request: FastifyRequest,
  reason: DeniedAccess['reason'],
  workspaceId: string | undefined,
): AccessDenied {
  const access = facts(principal, request, reason);
  if (workspaceId === undefined) return new AccessDenied('PERMISSION_DENIED', { ...access, chain: SYSTEM_CHAIN });
  return new AccessDenied('PERMISSION_DENIED', { ...access, chain: workspaceId, workspaceId });
}

function facts(principal: Principal, request: FastifyRequest, reason: DeniedAccess['reason']) {
  const { method } = request;
  return { reason, principalId: principal.id, method, route: request.routeOptions.url ?? 'unmatched' };
}

function paramOf({ params }: FastifyRequest, name: string): string | undefined {
  if (typeof params !== 'object' || params === null || !Object.hasOwn(params, name)) return undefined;
  const value: unknown = Reflect.get(params, name);
  return value === undefined ? undefined : String(value);
}
