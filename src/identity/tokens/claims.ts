import { isWorkspaceId } from '../../ids.ts';
import type { Role } from '../../roles.ts';
import { Unauthenticated } from '../errors.ts';
import type { Principal } from '../principal.ts';
import type { ClaimSource, TokenIssuer } from './issuers.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** Roles and workspaces as the token alone says them. Throws Unauthenticated for claims that are no texts. */
export function standingOf(
  claims: Claims,
  issuer: TokenIssuer,
): Pick<Principal, 'roles' | 'workspaces' | 'breakGlass'> {
  const elevations = issuer.breakGlass === undefined ? [] : workspaceNames(valuesOf(claims, issuer.breakGlass));
  return {
    roles: rolesOf(claims, issuer),
    workspaces: workspacesOf(claims, issuer),
    ...(elevations.length === 0 ? {} : { breakGlass: elevations }),
  };
}

/** By exact text: another case, a blank more or a letter that only looks alike is another group. */
function rolesOf(claims: Claims, { roles }: TokenIssuer): readonly Role[] {
  const given = valuesOf(claims, roles).flatMap((value) => roles.map.get(value) ?? []);
  return Object.freeze([...new Set(given)]);
}

function workspacesOf(claims: Claims, { workspaces }: TokenIssuer): readonly string[] | '*' {
  const values = valuesOf(claims, workspaces);
  if (workspaces.all !== undefined && values.includes(workspaces.all)) return '*';
  return workspaceNames(values);
}

/** What no workspace can be called gives nothing; it is no error, for a claim may hold what is meant for others. */
function workspaceNames(values: readonly string[]): readonly string[] {
  return Object.freeze([...new Set(values.filter(isWorkspaceId))]);
}

function valuesOf(claims: Claims, { path, separator }: ClaimSource): readonly string[] {
  let found: unknown = claims;
  for (const name of path) found = member(found, name);
  if (found === undefined) return [];
  if (typeof found === 'string') return separator === undefined ? [found] : found.split(separator);
  if (!Array.isArray(found) || !found.every((value) => typeof value === 'string')) {
    throw new Unauthenticated('TOKEN_CLAIMS_INVALID');
  }
  return found;
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  // Own members alone: `constructor` is no claim.
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}

/** Base64url of 32 bytes. */
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;

/**
 * The certificate that the token is bound to (RFC 8705 §3.1), upper-case hex; undefined for a token of whoever holds it.
 * Throws Unauthenticated for a binding that cannot be checked here.
 */
export function bindingOf(claims: Claims, { requireCnf }: TokenIssuer): string | undefined {
  const cnf = claims['cnf'];
  if (cnf === undefined && !requireCnf) return undefined;
  const thumbprint = member(cnf, 'x5t#S256');
  // Another kind beside it, such as `jkt`, asks for a proof that nobody here would look at.
  const alone = typeof cnf === 'object' && cnf !== null && Object.keys(cnf).length === 1;
  if (!alone || typeof thumbprint !== 'string' || !THUMBPRINT.test(thumbprint)) {
    throw new Unauthenticated('TOKEN_BOUND_ELSEWHERE');
  }
  return Buffer.from(thumbprint, 'base64url').toString('hex').toUpperCase();
}
