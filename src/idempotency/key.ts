import type { FastifyRequest } from 'fastify';

import { CanonicalJsonError, canonicalBytes } from '../crypto/canonical-json.ts';
import { sha256 } from '../crypto/digest.ts';
import { ValidationFailed } from '../http/problem.ts';
import type {} from '../identity/plugin.ts';
import { SYSTEM_CHAIN } from '../ids.ts';

/** Contract §4: printable ASCII. */
const KEY = /^[\x20-\x7e]{1,255}$/;

/** Which request a key stands for, without the key or the body themselves. */
export interface RequestKey {
  /** Where its answer is kept: the workspace of the path, the one that the route has found, or `_system`. */
  readonly workspaceId: string;
  /** SHA-256 over principal, workspace, method, path and key. */
  readonly scope: Buffer;
  /** SHA-256 over the body. */
  readonly request: Buffer;
}

/** The key of a request; undefined when it was sent without one. Throws ValidationFailed for one that cannot be used. */
export function requestKey(request: FastifyRequest): RequestKey | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !KEY.test(key)) {
    throw new ValidationFailed([
      { pointer: '/headers/idempotency-key', detail: 'must be 1 to 255 printable ASCII characters' },
    ]);
  }
  const { principal, method } = request;
  const params = paramsOf(request);
  const workspaceId = params['workspaceId'] ?? (request.foundWorkspace || SYSTEM_CHAIN);
  // The pattern with its decoded parameters: two spellings of one path are one path.
  const path = [request.routeOptions.url ?? '', Object.entries(params)];
  const scope = sha256(JSON.stringify([principal.kind, principal.id, workspaceId, method, path, key]));
  return { workspaceId, scope, request: bodyDigest(request.body ?? null) };
}

/** The canonical form, so that a client may write the same body in another order of members. */
function bodyDigest(body: unknown): Buffer {
  try {
    return sha256(canonicalBytes(body));
  } catch (error) {
    // A number that no double holds (policy data): the route refuses it, so no answer is ever kept.
    if (error instanceof CanonicalJsonError) return sha256(JSON.stringify(body));
    throw error;
  }
}

function paramsOf(request: FastifyRequest): Readonly<Record<string, string | undefined>> {
  const params: unknown = request.params;
  if (typeof params !== 'object' || params === null) return {};
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, String(value)]));
}
