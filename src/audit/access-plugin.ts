import type { FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import { NotFound } from '../http/problem.ts';
import { AccessDenied, ForwardedByStranger, Unauthenticated, WorkspaceSuspended } from '../identity/errors.ts';

import { type AccessRecorder, createAccessRecorder, type DeniedCaller, type Refusal } from './access-recorder.ts';

declare module 'fastify' {
  interface FastifyInstance {
    accessRecorder: AccessRecorder;
  }
}

/** Keeps the account of refused access: `app.accessRecorder`. */
export const accessAuditPlugin = fastifyPlugin(
  async (app, options: { readonly clock: Clock }) => {
    const recorder = createAccessRecorder({ audit: app.audit, clock: options.clock });
    app.decorate('accessRecorder', recorder);
    // After the last request, before the audit closes.
    app.addHook('onClose', () =>
      recorder.flush(true).catch((err: unknown) => {
        app.log.error({ err }, 'counted denials were not recorded before the end');
      }),
    );
  },
  { name: 'access-audit', fastify: '5.x', dependencies: ['audit', 'identity'] },
);

/**
 * Has a refusal in the audit before it is answered. Resolves with what to answer: the refusal itself, the one 404 when its
 * workspace does not exist, or why it could not be written.
 */
export async function auditRefusal(
  recorder: AccessRecorder,
  error: unknown,
  request: FastifyRequest,
): Promise<unknown> {
  if (!isRefusal(error)) return error;
  try {
    const written = await recorder.record({
      error,
      caller: callerOf(error, request),
      method: request.method,
      route: request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched'),
      permission: request.routeOptions.config.permission,
      traceId: request.traceId,
    });
    return written ? error : new NotFound();
  } catch (failure) {
    return failure;
  }
}

function isRefusal(error: unknown): error is Refusal {
  return [AccessDenied, Unauthenticated, ForwardedByStranger, WorkspaceSuspended].some((kind) => error instanceof kind);
}

function callerOf(error: Refusal, request: FastifyRequest): DeniedCaller {
  const isKnown = error instanceof AccessDenied || error instanceof WorkspaceSuspended;
  const caller = isKnown ? request.principal : senderOf(error);
  return caller === undefined ? { id: 'unknown', kind: 'unknown' } : { id: caller.id, kind: caller.kind };
}

function senderOf(error: Unauthenticated | ForwardedByStranger): DeniedCaller | undefined {
  return error instanceof ForwardedByStranger ? error.sender : error.claimed;
}
