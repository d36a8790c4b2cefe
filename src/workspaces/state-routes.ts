import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { WorkspaceParams } from '../http/params.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { StateBody, Suspended, Workspace } from './schema.ts';
import type { WorkspaceCaller } from './service.ts';
import type { Suspension } from './suspension.ts';

const WORKSPACE = '/v1/workspaces/:workspaceId';
const tags = ['workspaces'];

export interface StateRoutesOptions {
  readonly suspension: Suspension;
}

/** Suspending a workspace and resuming it. */
export const stateRoutes: FastifyPluginAsyncTypebox<StateRoutesOptions> = async (app, { suspension }) => {
  app.post(
    `${WORKSPACE}/suspend`,
    {
      config: { permission: 'settings.write', audit: ['workspace.suspended', 'agent.stopped'], lane: 'brake' },
      schema: {
        operationId: 'suspendWorkspace',
        tags,
        summary: 'Stop what runs in the workspace and refuse what would change it; needs no signer',
        params: WorkspaceParams,
        body: StateBody,
        response: { 200: Suspended },
      },
    },
    (request) =>
      suspension.suspend(request.params.workspaceId, request.body.reason, callerOf(request), claimOf(request)),
  );

  app.post(
    `${WORKSPACE}/resume`,
    {
      config: { permission: 'settings.write', audit: ['workspace.resumed'] },
      schema: {
        operationId: 'resumeWorkspace',
        tags,
        summary: 'Let a suspended workspace go on; its agents stay stopped until they are started',
        params: WorkspaceParams,
        body: StateBody,
        response: { 200: Workspace },
      },
    },
    (request) =>
      suspension.resume(request.params.workspaceId, request.body.reason, callerOf(request), claimOf(request)),
  );
};

function callerOf({ principal: { id, kind }, traceId }: FastifyRequest): WorkspaceCaller {
  return { id, kind, traceId };
}
