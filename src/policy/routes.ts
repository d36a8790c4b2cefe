import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';

import { notModified, requireIfMatch, strongEtag } from '../http/etag.ts';
import { WorkspaceParams } from '../http/params.ts';
import { NotFound } from '../http/problem.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import type { Principal } from '../identity/principal.ts';
import type { Trx } from '../storage/database.ts';
import type { ActivationService } from './activation.ts';
import type { Caller } from './head-change.ts';
import {
  ActivationSchema,
  HotReloadBody,
  RollbackBody,
  SnapshotSchema,
  VersionDetailSchema,
  VersionListSchema,
  VersionParams,
  VersionsQuery,
} from './schema.ts';
import type { SnapshotReader } from './snapshot.ts';
import { pageVersions, showVersion } from './versions.ts';

/** Contract §4. */
const HOTRELOAD_BODY_LIMIT = 6 * 1024 * 1024;
/** Ms: a compilation in its own process and the wait for the revalidation. */
const HOTRELOAD_TIMEOUT = 30_000;

const NoQuery = Type.Object({}, { additionalProperties: false });

export interface PolicyRoutesOptions {
  readonly activation: ActivationService;
  readonly snapshots: SnapshotReader;
}

/** What a workspace is governed by: its snapshot, its versions, and what makes another version active. */
export const policyRoutes: FastifyPluginAsyncTypebox<PolicyRoutesOptions> = async (app, { activation, snapshots }) => {
  /** The condition of a change on the snapshot that the caller has read; undefined when there is none. */
  function ifMatch(request: FastifyRequest, workspaceId: string) {
    if (request.headers['if-match'] === undefined) return undefined;
    return async (trx: Trx) => requireIfMatch(request, strongEtag(await snapshots.tagIn(trx, workspaceId)));
  }

  app.get(
    '/v1/workspaces/:workspaceId/policy/snapshot',
    {
      config: { permission: 'policy.read', audit: [], ownOnly: 'handler', conditions: ['if-none-match'] },
      schema: {
        operationId: 'getPolicySnapshot',
        tags: ['policy'],
        summary: 'The active policy, revoked signers and invalidated agents; ETag "<hash>.<revision>"',
        params: WorkspaceParams,
        querystring: NoQuery,
        response: { 200: SnapshotSchema, 304: Type.Null() },
      },
    },
    async (request, reply) => {
      const { workspaceId } = request.params;
      const hasCondition = request.headers['if-none-match'] !== undefined;
      if (hasCondition && notModified(request, reply, strongEtag(await snapshots.tag(workspaceId)))) {
        return reply.send(null);
      }
      const { tag, snapshot } = await snapshots.read(workspaceId, request.principal.agent?.agentId);
      reply.header('etag', strongEtag(tag)).header('cache-control', 'private, no-cache');
      return snapshot;
    },
  );

  app.post(
    '/v1/workspaces/:workspaceId/policy/hotreload',
    {
      bodyLimit: HOTRELOAD_BODY_LIMIT,
      handlerTimeout: HOTRELOAD_TIMEOUT,
      config: {
        permission: 'policy.write',
        // The data of a policy may hold any number: one that cannot be used is refused as content (contract §7).
        unsafeNumbers: 'handler',
        conditions: ['if-match'],
        audit: [
          'policy.activated',
          'policy.shadowed',
          'policy.rejected',
          'revalidation.requested',
          'agent.revalidated',
          'agent.invalidated',
          'proof.renewed',
          'proof.mass.renewed',
        ],
      },
      schema: {
        operationId: 'hotReloadPolicy',
        tags: ['policy'],
        summary:
          'Make a policy bundle the active version, or the candidate beside it; honours If-Match with the ETag of the snapshot',
        params: WorkspaceParams,
        body: HotReloadBody,
        response: { 200: ActivationSchema },
      },
    },
    (request) => {
      const { policySet, bundle, mode = 'enforce', revalidate = true, expectedHash, reason } = request.body;
      const { unsafeNumber } = request;
      const precondition = ifMatch(request, request.params.workspaceId);
      const reload = { policySet, bundle, mode, revalidate, expectedHash, reason, unsafeNumber, precondition };
      return activation.hotReload(request.params.workspaceId, reload, callerOf(request), claimOf(request));
    },
  );

  app.post(
    '/v1/workspaces/:workspaceId/policy/rollback',
    {
      handlerTimeout: HOTRELOAD_TIMEOUT,
      config: {
        permission: 'policy.write',
        conditions: ['if-match'],
        audit: [
          'policy.rolledback',
          'revalidation.requested',
          'agent.revalidated',
          'agent.invalidated',
          'proof.renewed',
          'proof.mass.renewed',
        ],
      },
      schema: {
        operationId: 'rollBackPolicy',
        tags: ['policy'],
        summary: 'Make an earlier version active again; honours If-Match with the ETag of the snapshot',
        params: WorkspaceParams,
        body: RollbackBody,
        response: { 200: ActivationSchema },
      },
    },
    (request) => {
      const { version, revalidate = true, reason } = request.body;
      const precondition = ifMatch(request, request.params.workspaceId);
      const rollback = { version, revalidate, reason, precondition };
      return activation.rollback(request.params.workspaceId, rollback, callerOf(request), claimOf(request));
    },
  );

  app.get(
    '/v1/workspaces/:workspaceId/policy/versions',
    {
      config: { permission: 'policy.read', audit: [] },
      schema: {
        operationId: 'listPolicyVersions',
        tags: ['policy'],
        summary: 'Policy versions, by version ascending',
        params: WorkspaceParams,
        querystring: VersionsQuery,
        response: { 200: VersionListSchema },
      },
    },
    ({ params: { workspaceId }, query }) =>
      app.storage.read(workspaceId, (trx) => pageVersions(trx, workspaceId, query)),
  );

  app.get(
    '/v1/workspaces/:workspaceId/policy/versions/:version',
    {
      config: { permission: 'policy.read', audit: [] },
      schema: {
        operationId: 'getPolicyVersion',
        tags: ['policy'],
        summary: 'One policy version with its modules and data',
        params: VersionParams,
        querystring: NoQuery,
        response: { 200: VersionDetailSchema },
      },
    },
    ({ params: { workspaceId, version } }) =>
      app.storage.read(workspaceId, (trx) => showVersion(trx, workspaceId, versionNumber(version))),
  );
};

/** A text that is no version's number names a version that is not there. */
function versionNumber(text: string): number {
  const version = /^[1-9][0-9]{0,8}$/.test(text) ? Number.parseInt(text, 10) : undefined;
  if (version === undefined) throw new NotFound();
  return version;
}

function callerOf(request: { principal: Principal; traceId: string }): Caller {
  const { id, kind } = request.principal;
  return { actor: { id, kind }, traceId: request.traceId };
}
