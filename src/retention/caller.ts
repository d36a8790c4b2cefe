import type { FastifyRequest } from 'fastify';

import type { Actor } from '../audit/event.ts';

export interface RetentionCaller {
  readonly actor: Actor;
  readonly traceId: string;
}

/** Who asks, as the event will say it. */
export function callerOf({ principal: { id, kind }, traceId }: FastifyRequest): RetentionCaller {
  return { actor: { id, kind }, traceId };
}
