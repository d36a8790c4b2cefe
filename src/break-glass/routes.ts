import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { requireElevatable } from '../identity/elevation.ts';
import type { ListElevations } from './list.ts';
import {
  ElevateBody,
  Elevation,
  ElevationList,
  ElevationParams,
  type ElevationView,
  ListElevationsQuery,
} from './schema.ts';
import type { BreakGlass, ElevationCaller } from './service.ts';

const tags = ['access'];

export interface BreakGlassRoutesOptions {
  readonly breakGlass: Pick<BreakGlass, 'grant' | 'end'>;
  readonly list: ListElevations;
}

/** Becoming the administrator of one workspace for some minutes. */
export const breakGlassRoutes: FastifyPluginAsyncTypebox<BreakGlassRoutesOptions> = async (
  app,
  { breakGlass, list },
) => {
  app.post(
    '/v1/break-glass',
    {
      config: {
        permission: 'access.elevate',
        // The one before may be over without an event yet.
        audit: ['access.breakglass.granted', 'access.breakglass.ended'],
        scope: 'agent',
      },
      schema: {
        operationId: 'elevate',
        tags,
        summary: 'Become kernel-admin of one workspace for some minutes; the reason and every use are in its audit',
        body: ElevateBody,
        response: { 201: Elevation },
      },
    },
    async (request, reply) => {
      requireElevatable(request, request.body.workspaceId);
      const claim = claimOf(request, granted);
      return answerWith(reply, granted(await breakGlass.grant(request.body, callerOf(request), claim)));
    },
  );

  app.get(
    '/v1/break-glass',
    {
      config: { permission: 'access.read', audit: [], scope: 'global' },
      schema: {
        operationId: 'listElevations',
        tags,
        summary: 'Elevations in the workspaces of the caller, oldest first; those that are over stay listed',
        querystring: ListElevationsQuery,
        response: { 200: ElevationList },
      },
    },
    (request) => list(request.principal.workspaces, request.query),
  );

  app.delete(
    '/v1/break-glass/:elevationId',
    {
      config: { permission: 'access.elevate', audit: ['access.breakglass.ended'], scope: 'agent' },
      schema: {
        operationId: 'endElevation',
        tags,
        summary: 'End an elevation before its time: by its holder, or an administrator of its workspace',
        params: ElevationParams,
        response: { 200: Elevation },
      },
    },
    (request) => breakGlass.end(request.params.elevationId, callerOf(request)),
  );
};

function granted(elevation: ElevationView): Answer<ElevationView> {
  return { status: 201, body: elevation };
}

function callerOf({ principal, traceId }: FastifyRequest): ElevationCaller {
  return { principal, traceId };
}
