import type { FastifyInstance, FastifyRequest, RouteHandlerMethod, RouteOptions } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import type {} from '../http/lanes.ts';
import type {} from '../http/route-contract.ts';
import { WorkspaceSuspended } from '../identity/errors.ts';
import type { Permission } from '../identity/permissions.ts';
import type {} from '../storage/plugin.ts';
import { findStanding } from './store.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * What a suspended workspace does with a route that changes something; by default it is refused before the handler.
     * `judged`: the handler refuses in the unit itself, where it is exact · `allowed`: it goes on.
     */
    whileSuspended?: 'judged' | 'allowed';
  }
}

/** The audit, the settings and what restricts go on while a workspace is suspended; else nobody could put it in order. */
const GO_ON: ReadonlySet<string | undefined> = new Set<Permission>([
  'settings.write',
  'killswitch.write',
  'audit.prune',
  'audit.erase',
  'audit.hold',
  'audit.read',
]);

const CHANGING = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

/**
 * Refuses what would change a suspended workspace. Wraps the handlers of routes registered later; register it before the
 * plugin that answers repeated requests, for their answers were given before.
 */
export const suspensionGuardPlugin = fastifyPlugin(
  async (app) => {
    app.addHook('onRoute', (route) => {
      if (isHeldStill(route)) route.handler = guarded(app, route.handler);
    });
  },
  { name: 'suspension-guard', fastify: '5.x', dependencies: ['storage', 'identity'] },
);

/** True for a route that a suspended workspace refuses before its handler. */
export function isHeldStill({ method, url, config = {} }: Pick<RouteOptions, 'method' | 'url' | 'config'>): boolean {
  if (!url.includes('/:workspaceId') || config.whileSuspended !== undefined) return false;
  if (config.readOnly === true || config.lane === 'brake' || GO_ON.has(config.permission)) return false;
  return [method].flat().some((one) => CHANGING.has(one.toUpperCase()));
}

function guarded(app: FastifyInstance, handler: RouteHandlerMethod): RouteHandlerMethod {
  return async function held(this: FastifyInstance, request, reply) {
    const workspaceId = workspaceOf(request);
    const standing = await app.storage.read(workspaceId, (trx) => findStanding(trx, workspaceId));
    // One that does not exist is the handler's to say.
    if (standing?.state === 'suspended') throw new WorkspaceSuspended(workspaceId);
    return handler.call(this, request, reply);
  };
}

function workspaceOf({ params }: FastifyRequest): string {
  return String(Object.assign({ workspaceId: '' }, params).workspaceId);
}
