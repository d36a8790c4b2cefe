import type { FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import { NotFound, sendProblem } from '../http/problem.ts';
import { AccessDenied, Unauthenticated } from '../identity/errors.ts';
import { type AccessRecorder, createAccessRecorder, type DeniedCaller } from './access-recorder.ts';

declare module 'fastify' {
  interface FastifyInstance {
    accessRecorder: AccessRecorder;
  }
}

/** Refused access is in the audit before it is answered; when it cannot be written, the answer is 503. */
export const accessAuditPlugin = fastifyPlugin(
  async (app, options: { readonly clock: Clock; readonly random: () => number }) => {
    const recorder = createAccessRecorder({ audit: app.audit, clock: options.clock });
    app.decorate('accessRecorder', recorder);
    app.setErrorHandler(async (error, request, reply) => {
      const answer = await recorded(recorder, error, request);
      sendProblem(answer, request, reply, options.random);
      return reply;
    });
  },
  { name: 'access-audit', fastify: '5.x', dependencies: ['audit', 'identity', 'problem'] },
);

/** What to answer: the refusal itself, the one 404 when its workspace does not exist, or why it could not be written. */
async function recorded(recorder: AccessRecorder, error: unknown, request: FastifyRequest): Promise<unknown> {
  if (!(error instanceof AccessDenied || error instanceof Unauthenticated)) return error;
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

function callerOf(error: AccessDenied | Unauthenticated, request: FastifyRequest): DeniedCaller {
  if (error instanceof Unauthenticated) return { id: 'unknown', kind: 'unknown' };
  const { id, kind } = request.principal;
  return { id, kind };
}
