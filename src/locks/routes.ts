import { TLSSocket } from 'node:tls';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import {
  ListLocksQuery,
  Lock,
  LockList,
  LockParams,
  type LockView,
  NoQuery,
  PlaceLockBody,
  ReleasedLock,
  ReleaseLockBody,
} from './schema.ts';
import type { LockCaller, Locks } from './service.ts';

const tags = ['access'];
const system = { scope: 'global', allWorkspaces: true } as const;
const reads = { permission: 'access.read', audit: [], ...system };

/** Locking a certificate or a principal out of every workspace, at once and on every replica. */
export const lockRoutes: FastifyPluginAsyncTypebox<{ locks: Locks }> = async (app, { locks }) => {
  app.post(
    '/v1/access/locks',
    {
      config: { permission: 'access.lock', audit: ['access.lock.placed'], lane: 'brake', ...system },
      schema: {
        operationId: 'placeAccessLock',
        tags,
        summary: 'Lock out a client certificate or a principal: what it has open ends, and nothing of it is accepted',
        body: PlaceLockBody,
        response: { 201: Lock },
      },
    },
    async (request, reply) => {
      const claim = claimOf(request, placed);
      return answerWith(reply, placed(await locks.place(request.body, callerOf(request), claim)));
    },
  );

  app.get(
    '/v1/access/locks',
    {
      config: reads,
      schema: {
        operationId: 'listAccessLocks',
        tags,
        summary: 'The locks, oldest first; one that has expired is shown until it is released',
        querystring: ListLocksQuery,
        response: { 200: LockList },
      },
    },
    (request) => locks.list(request.query),
  );

  app.get(
    '/v1/access/locks/:lockId',
    {
      config: reads,
      schema: {
        operationId: 'getAccessLock',
        tags,
        summary: 'One lock',
        params: LockParams,
        querystring: NoQuery,
        response: { 200: Lock },
      },
    },
    (request) => locks.get(request.params.lockId),
  );

  app.delete(
    '/v1/access/locks/:lockId',
    {
      config: { permission: 'access.lock', audit: ['access.lock.released'], ...system },
      schema: {
        operationId: 'releaseAccessLock',
        tags,
        summary: 'Release a lock',
        params: LockParams,
        body: ReleaseLockBody,
        response: { 200: ReleasedLock },
      },
    },
    (request) => locks.release(request.params.lockId, request.body.reason, callerOf(request)),
  );
};

function placed(lock: LockView): Answer<LockView> {
  return { status: 201, body: lock };
}

function callerOf({ principal: { id, kind }, raw: { socket }, traceId }: FastifyRequest): LockCaller {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return { actor: { id, kind }, serial: certificate?.serialNumber, traceId };
}
