import type { FastifyRequest } from 'fastify';

import { isWorkspaceId, SYSTEM_CHAIN } from '../ids.ts';
import { requireAccess } from './access.ts';
import { AccessDenied } from './errors.ts';
import type { Principal } from './principal.ts';

/** What a request is let through by, beside the caller's own roles. */
export interface Elevations {
  /** Has the use of an elevation in the audit; false when the caller has none in force in the workspace. */
  use(
    principal: Principal,
    workspaceId: string,
    request: { readonly route: string; readonly permission: string; readonly traceId: string },
  ): Promise<boolean>;
}

/** The service has none. */
export const NO_ELEVATIONS: Elevations = { use: async () => false };

/**
 * The principal whose access counts: the caller, or the caller as administrator of the one workspace of the path, where an
 * elevation is all that lets it pass; a promise only there. Throws AccessDenied.
 */
export function accessOf(
  principal: Principal,
  request: FastifyRequest,
  elevations: Elevations,
): Principal | Promise<Principal> {
  try {
    requireAccess(principal, request);
    return principal;
  } catch (error) {
    if (!(error instanceof AccessDenied)) throw error;
    return elevatedOr(error, principal, request, elevations);
  }
}

async function elevatedOr(
  denied: AccessDenied,
  principal: Principal,
  request: FastifyRequest,
  elevations: Elevations,
): Promise<Principal> {
  const elevated = await elevatedFor(principal, request, elevations);
  if (elevated === undefined) throw denied;
  return elevated;
}

/** Throws AccessDenied unless the caller may ask to be elevated in this workspace, which need not exist. */
export function requireElevatable(request: FastifyRequest, workspaceId: string): void {
  const { principal, method } = request;
  if (mayElevate(principal, workspaceId)) return;
  throw new AccessDenied('PERMISSION_DENIED', {
    chain: SYSTEM_CHAIN,
    reason: 'ALL_WORKSPACES_NEEDED',
    principalId: principal.id,
    method,
    route: request.routeOptions.url ?? 'unmatched',
    workspaceId,
  });
}

/** An administrator of all workspaces, and whom the identity map names for this one. Never agents, nor who speaks for others. */
function mayElevate({ kind, roles, workspaces, breakGlass }: Principal, workspaceId: string): boolean {
  if (kind === 'agent' || roles.includes('agent') || roles.includes('gateway')) return false;
  if (roles.includes('kernel-admin') && workspaces === '*') return true;
  return breakGlass?.includes(workspaceId) === true;
}

async function elevatedFor(
  principal: Principal,
  request: FastifyRequest,
  elevations: Elevations,
): Promise<Principal | undefined> {
  const { params, traceId, method, routeOptions } = request;
  const { workspaceId } = Object.assign({ workspaceId: undefined }, params);
  const { permission } = routeOptions.config;
  if (typeof workspaceId !== 'string' || !isWorkspaceId(workspaceId) || permission === undefined) return undefined;
  // Asked again each time: who is taken off the map has no use of what was granted before.
  if (!mayElevate(principal, workspaceId)) return undefined;
  const { id, kind } = principal;
  // Of this workspace and no other, whatever the caller's own are.
  const elevated: Principal = {
    id,
    kind,
    roles: [...new Set([...principal.roles, 'kernel-admin' as const])],
    workspaces: [workspaceId],
  };
  // What an administrator may not do either is refused as it would be without.
  if (!passes(elevated, request)) return undefined;
  const route = `${method} ${routeOptions.url ?? 'unmatched'}`;
  return (await elevations.use(principal, workspaceId, { route, permission, traceId })) ? elevated : undefined;
}

function passes(principal: Principal, request: FastifyRequest): boolean {
  try {
    requireAccess(principal, request);
    return true;
  } catch (error) {
    if (error instanceof AccessDenied) return false;
    throw error;
  }
}
