import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { WorkspaceParams } from '../http/params.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import { callerOf } from './caller.ts';
import type { Erase } from './erasures.ts';
import type { Holds } from './holds.ts';
import { Erasure, ErasureBody, Hold, HoldBody, NoQuery } from './schema.ts';

const tags = ['audit'];
const system = { scope: 'global', allWorkspaces: true } as const;
const reads = { permission: 'audit.read', audit: [] };
const erases = { permission: 'audit.erase', audit: ['erasure.performed'] };
const places = { permission: 'audit.hold', audit: ['audit.hold.placed'], lane: 'brake' } as const;
const releases = { permission: 'audit.hold', audit: ['audit.hold.released'] };

export interface RetentionRoutesOptions {
  readonly erase: Erase;
  readonly holds: Holds;
}

/** Erasures and legal holds: of a workspace's chain, and of the system chain for those who may use every workspace. */
export const retentionRoutes: FastifyPluginAsyncTypebox<RetentionRoutesOptions> = async (app, { erase, holds }) => {
  app.post(
    '/v1/workspaces/:workspaceId/audit/erasures',
    {
      config: erases,
      schema: {
        operationId: 'erasePersonalData',
        tags,
        summary: "Erase what people wrote in events of the workspace's chain; the events stay, and stay verifiable",
        params: WorkspaceParams,
        body: ErasureBody,
        response: { 200: Erasure },
      },
    },
    (request) => erase(request.params.workspaceId, request.body, callerOf(request), claimOf(request)),
  );

  app.post(
    '/v1/audit/erasures',
    {
      config: { ...erases, ...system },
      schema: {
        operationId: 'eraseSystemPersonalData',
        tags,
        summary: 'Erase what people wrote in events of the chain _system',
        body: ErasureBody,
        response: { 200: Erasure },
      },
    },
    (request) => erase(SYSTEM_CHAIN, request.body, callerOf(request), claimOf(request)),
  );

  app.get(
    '/v1/workspaces/:workspaceId/audit/hold',
    {
      config: reads,
      schema: {
        operationId: 'getAuditHold',
        tags,
        summary: "Whether the workspace's chain is under a legal hold",
        params: WorkspaceParams,
        querystring: NoQuery,
        response: { 200: Hold },
      },
    },
    (request) => holds.get(request.params.workspaceId),
  );

  app.put(
    '/v1/workspaces/:workspaceId/audit/hold',
    {
      config: places,
      schema: {
        operationId: 'placeAuditHold',
        tags,
        summary: "Place a legal hold: nothing of the workspace's chain is erased or pruned until it is released",
        params: WorkspaceParams,
        body: HoldBody,
        response: { 200: Hold },
      },
    },
    (request) => holds.place(request.params.workspaceId, request.body.reason, callerOf(request)),
  );

  app.delete(
    '/v1/workspaces/:workspaceId/audit/hold',
    {
      config: releases,
      schema: {
        operationId: 'releaseAuditHold',
        tags,
        summary: "Release the legal hold on the workspace's chain",
        params: WorkspaceParams,
        body: HoldBody,
        response: { 200: Hold },
      },
    },
    (request) => holds.release(request.params.workspaceId, request.body.reason, callerOf(request)),
  );

  app.get(
    '/v1/audit/hold',
    {
      config: { ...reads, ...system },
      schema: {
        operationId: 'getSystemAuditHold',
        tags,
        summary: 'Whether the chain _system is under a legal hold',
        querystring: NoQuery,
        response: { 200: Hold },
      },
    },
    () => holds.get(SYSTEM_CHAIN),
  );

  app.put(
    '/v1/audit/hold',
    {
      config: { ...places, ...system },
      schema: {
        operationId: 'placeSystemAuditHold',
        tags,
        summary: 'Place a legal hold on the chain _system',
        body: HoldBody,
        response: { 200: Hold },
      },
    },
    (request) => holds.place(SYSTEM_CHAIN, request.body.reason, callerOf(request)),
  );

  app.delete(
    '/v1/audit/hold',
    {
      config: { ...releases, ...system },
      schema: {
        operationId: 'releaseSystemAuditHold',
        tags,
        summary: 'Release the legal hold on the chain _system',
        body: HoldBody,
        response: { 200: Hold },
      },
    },
    (request) => holds.release(SYSTEM_CHAIN, request.body.reason, callerOf(request)),
  );
};
