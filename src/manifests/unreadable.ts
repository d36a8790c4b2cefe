import type { FastifyRequest } from 'fastify';

import { StrictJsonError } from '../http/strict-json.ts';
import type {} from '../identity/plugin.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import { malformed } from './envelope.ts';
import type { Manifests } from './manifests.ts';

/** Where a manifest is in the bodies that may bring one. */
const MEMBER = '/manifest';

/**
 * A body in which two readers could understand the manifest differently is a refused manifest: MANIFEST_MALFORMED, in the
 * audit. Resolves with what to answer.
 */
export async function auditUnreadable(
  manifests: Pick<Manifests, 'reject'>,
  error: unknown,
  request: FastifyRequest,
): Promise<unknown> {
  if (!(error instanceof StrictJsonError) || request.is404 || request.routeOptions.config.manifest !== true)
    return error;
  const { pointer, detail } = error;
  if (pointer !== MEMBER && !pointer.startsWith(`${MEMBER}/`)) return error;
  const refusal = malformed([{ pointer, detail }]);
  const { id, kind } = request.principal;
  try {
    // Of such a body nothing is believed, so that nothing of it is in the audit.
    await manifests.reject(
      undefined,
      { workspaceId: chainOf(request), caller: { id, kind, traceId: request.traceId } },
      refusal,
    );
    return refusal;
  } catch (failure) {
    return failure;
  }
}

/** A route without a workspace in its path has it in its body: then the caller's only one, if there is just one. */
function chainOf({ params, principal }: FastifyRequest): string {
  if (typeof params === 'object' && params !== null && 'workspaceId' in params) return String(params.workspaceId);
  const [only, ...others] = principal.workspaces === '*' ? [] : principal.workspaces;
  return only === undefined || others.length > 0 ? SYSTEM_CHAIN : only;
}
