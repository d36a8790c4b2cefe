import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { Type } from '@sinclair/typebox';
import type { FastifyReply } from 'fastify';

import { WorkspaceParams } from '../http/params.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import { listEvents } from './query.ts';
import { EventPage, ListEventsQuery, NoQuery, VerificationSchema } from './schema.ts';
import type { VerifyChain } from './verify-chain.ts';

/** ms; a chain is verified at about ten thousand events a second. */
const VERIFY_TIMEOUT = 120_000;

export interface AuditRoutesOptions {
  readonly verifyChain: VerifyChain;
}

/** Reading the audit: a workspace's chain, and the system chain for those who may use every workspace. */
export const auditRoutes: FastifyPluginAsyncTypebox<AuditRoutesOptions> = async (app, { verifyChain }) => {
  app.get(
    '/v1/workspaces/:workspaceId/audit/events',
    {
      config: { permission: 'audit.read', audit: [] },
      schema: {
        operationId: 'listAuditEvents',
        tags: ['audit'],
        summary: "Events of the workspace's chain, by seq ascending",
        params: WorkspaceParams,
        querystring: ListEventsQuery,
        response: { 200: EventPage },
      },
    },
    (request) =>
      app.storage.read(request.params.workspaceId, (trx) => listEvents(trx, request.params.workspaceId, request.query)),
  );

  app.get(
    '/v1/audit/events',
    {
      config: { permission: 'audit.read', audit: [], scope: 'global', allWorkspaces: true },
      schema: {
        operationId: 'listSystemAuditEvents',
        tags: ['audit'],
        summary: 'Events that belong to no workspace (chain _system), by seq ascending',
        querystring: ListEventsQuery,
        response: { 200: EventPage },
      },
    },
    (request) => app.storage.read(SYSTEM_CHAIN, (trx) => listEvents(trx, SYSTEM_CHAIN, request.query)),
  );

  app.post(
    '/v1/workspaces/:workspaceId/audit/verify',
    {
      config: { permission: 'audit.read', audit: [], readOnly: true },
      handlerTimeout: VERIFY_TIMEOUT,
      schema: {
        operationId: 'verifyAudit',
        tags: ['audit'],
        summary: "Verify the workspace's chain; two at once, one of each chain; for a long chain use the command line",
        params: WorkspaceParams,
        querystring: NoQuery,
        body: Type.Null(),
        response: { 200: VerificationSchema },
      },
    },
    (request, reply) => verifyChain(request.params.workspaceId, abandoned(reply)),
  );

  app.post(
    '/v1/audit/verify',
    {
      config: { permission: 'audit.read', audit: [], readOnly: true, scope: 'global', allWorkspaces: true },
      handlerTimeout: VERIFY_TIMEOUT,
      schema: {
        operationId: 'verifySystemAudit',
        tags: ['audit'],
        summary: 'Verify the chain _system',
        querystring: NoQuery,
        body: Type.Null(),
        response: { 200: VerificationSchema },
      },
    },
    (_request, reply) => verifyChain(SYSTEM_CHAIN, abandoned(reply)),
  );
};

/** Fires when nobody waits for the answer any more. Fastify's own signal also fires once an empty body was read. */
function abandoned(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort(new Error('the answer is not waited for any more')));
  return AbortSignal.any([controller.signal, AbortSignal.timeout(VERIFY_TIMEOUT)]);
}
