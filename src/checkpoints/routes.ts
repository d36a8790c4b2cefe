import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { WorkspaceParams } from '../http/params.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { CheckpointProofs } from './proofs.ts';
import {
  CheckpointSchema,
  ConsistencyQuery,
  ConsistencySchema,
  InclusionQuery,
  InclusionSchema,
  NoQuery,
} from './schema.ts';

const tags = ['audit'];
const ofWorkspace = { permission: 'audit.read', audit: [] };
const ofSystem = { permission: 'audit.read', audit: [], scope: 'global', allWorkspaces: true } as const;

export interface CheckpointRoutesOptions {
  readonly proofs: CheckpointProofs;
}

/** Checkpoints and proofs: of a workspace's chain, and of the system chain for those who may use every workspace. */
export const checkpointRoutes: FastifyPluginAsyncTypebox<CheckpointRoutesOptions> = async (app, { proofs }) => {
  app.get(
    '/v1/workspaces/:workspaceId/audit/checkpoint',
    {
      config: ofWorkspace,
      schema: {
        operationId: 'getAuditCheckpoint',
        tags,
        summary: "The newest signed note, and the newest checkpoint of the workspace's chain that it covers",
        params: WorkspaceParams,
        querystring: NoQuery,
        response: { 200: CheckpointSchema },
      },
    },
    (request) => proofs.checkpoint(request.params.workspaceId),
  );

  app.get(
    '/v1/workspaces/:workspaceId/audit/proof',
    {
      config: ofWorkspace,
      schema: {
        operationId: 'getAuditProof',
        tags,
        summary: 'That an event is in the chain that the newest checkpoint covers',
        params: WorkspaceParams,
        querystring: InclusionQuery,
        response: { 200: InclusionSchema },
      },
    },
    (request) => proofs.inclusion(request.params.workspaceId, request.query.seq),
  );

  app.get(
    '/v1/workspaces/:workspaceId/audit/consistency',
    {
      config: ofWorkspace,
      schema: {
        operationId: 'getAuditConsistency',
        tags,
        summary: 'That the chain of one size begins with the chain of an earlier one',
        params: WorkspaceParams,
        querystring: ConsistencyQuery,
        response: { 200: ConsistencySchema },
      },
    },
    (request) => proofs.consistency(request.params.workspaceId, request.query.from, request.query.to),
  );

  app.get(
    '/v1/audit/checkpoint',
    {
      config: ofSystem,
      schema: {
        operationId: 'getSystemAuditCheckpoint',
        tags,
        summary: 'The newest signed note, and the newest checkpoint of the chain _system that it covers',
        querystring: NoQuery,
        response: { 200: CheckpointSchema },
      },
    },
    () => proofs.checkpoint(SYSTEM_CHAIN),
  );

  app.get(
    '/v1/audit/proof',
    {
      config: ofSystem,
      schema: {
        operationId: 'getSystemAuditProof',
        tags,
        summary: 'That an event is in the chain _system that the newest checkpoint covers',
        querystring: InclusionQuery,
        response: { 200: InclusionSchema },
      },
    },
    (request) => proofs.inclusion(SYSTEM_CHAIN, request.query.seq),
  );

  app.get(
    '/v1/audit/consistency',
    {
      config: ofSystem,
      schema: {
        operationId: 'getSystemAuditConsistency',
        tags,
        summary: 'That the chain _system of one size begins with that of an earlier one',
        querystring: ConsistencyQuery,
        response: { 200: ConsistencySchema },
      },
    },
    (request) => proofs.consistency(SYSTEM_CHAIN, request.query.from, request.query.to),
  );
};
