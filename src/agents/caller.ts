import type { Principal } from '../identity/principal.ts';

/** Who asks for a use case, and in which trace. Always taken from the request's principal, never from a body. */
export interface Caller {
  readonly id: string;
  readonly kind: 'human' | 'service' | 'agent';
  readonly roles: readonly string[];
  readonly traceId: string;
}

/** The caller of a request. */
export function callerOf(request: { readonly principal: Principal; readonly traceId: string }): Caller {
  const { id, kind, roles } = request.principal;
  return { id, kind, roles, traceId: request.traceId };
}
