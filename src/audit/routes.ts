import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { Type } from '@sinclair/typebox';
import type { FastifyReply } from 'fastify';

import { WorkspaceParams } from '../http/params.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { ExportChain } from './export-chain.ts';
import { listEvents } from './query.ts';
import { EventPage, ExportAnswer, ExportQuery, ListEventsQuery, NoQuery, VerificationSchema } from './schema.ts';
import type { VerifyChain } from './verify-chain.ts';

/** ms; a chain is verified at about ten thousand events a second. */
const VERIFY_TIMEOUT = 120_000;
/** ms; a client that reads slower than this keeps a place and a snapshot of the database for too long. */
const EXPORT_TIMEOUT = 1_800_000;
const JSONL = 'application/jsonl';

export interface AuditRoutesOptions {
  readonly verifyChain: VerifyChain;
  readonly exportChain: ExportChain;
}

/** Reading the audit: a workspace's chain, and the system chain for those who may use every workspace. */
export const auditRoutes: FastifyPluginAsyncTypebox<AuditRoutesOptions> = async (app, { verifyChain, exportChain }) => {
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
    (request, reply) => verifyChain(request.params.workspaceId, abandoned(reply, VERIFY_TIMEOUT)),
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
    (_request, reply) => verifyChain(SYSTEM_CHAIN, abandoned(reply, VERIFY_TIMEOUT)),
  );

  app.get(
    '/v1/workspaces/:workspaceId/audit/export',
    {
      config: { permission: 'audit.read', audit: [] },
      // It would read the whole chain to say nothing of it.
      exposeHeadRoute: false,
      schema: {
        operationId: 'exportAudit',
        tags: ['audit'],
        summary: "The workspace's chain as evidence, in JSONL; two at once, one of each chain, 30 minutes at most",
        params: WorkspaceParams,
        querystring: ExportQuery,
        response: { 200: ExportAnswer },
      },
    },
    async (request, reply) => {
      const { from = 1 } = request.query;
      const lines = await exportChain(request.params.workspaceId, from, abandoned(reply, EXPORT_TIMEOUT));
      return reply.type(JSONL).send(lines);
    },
  );

  app.get(
    '/v1/audit/export',
    {
      config: { permission: 'audit.read', audit: [], scope: 'global', allWorkspaces: true },
      exposeHeadRoute: false,
      schema: {
        operationId: 'exportSystemAudit',
        tags: ['audit'],
        summary: 'The chain _system as evidence, in JSONL',
        querystring: ExportQuery,
        response: { 200: ExportAnswer },
      },
    },
    async (request, reply) => {
      const { from = 1 } = request.query;
      return reply.type(JSONL).send(await exportChain(SYSTEM_CHAIN, from, abandoned(reply, EXPORT_TIMEOUT)));
    },
  );
};

/** Fires when nobody waits for the answer any more. Fastify's own signal also fires once an empty body was read. */
function abandoned(reply: FastifyReply, ms: number): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort(new Error('the answer is not waited for any more')));
  return AbortSignal.any([controller.signal, AbortSignal.timeout(ms)]);
}
