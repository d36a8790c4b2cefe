import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { optionalBody } from '../http/json-body.ts';
import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { SignerRegistryError } from './errors.ts';
import {
  CompromiseSignerBody,
  NoBody,
  RevokeSignerBody,
  RotateSignerBody,
  SignerEntry,
  SignerParams,
  type SignerView,
} from './schema.ts';
import type { SignerRegistry } from './service.ts';

const tags = ['signers'];
const response = { 200: SignerEntry };
const changes = { permission: 'signers.write', scope: 'global' } as const;

/** The steps in the life of a registered signer. */
export const signerStepRoutes: FastifyPluginAsyncTypebox<{ registry: SignerRegistry }> = async (app, { registry }) => {
  app.post(
    '/v1/signers/:signerId/rotate',
    {
      config: { ...changes, audit: ['signer.rotation.requested', 'signer.rotation.applied'], lane: 'brake' },
      schema: {
        operationId: 'rotateSigner',
        tags,
        summary:
          'Put another key in its place: one that is named, once a replica signs with it, or the newest beside it',
        params: SignerParams,
        body: RotateSignerBody,
        response: { 200: SignerEntry, 201: SignerEntry },
      },
    },
    async (request, reply) => {
      const { signerId: replaces } = request.params;
      const { replacement, emergency, reason } = request.body;
      const caller = callerOf(request);
      if (replacement === undefined && emergency === true) {
        throw new SignerRegistryError('SIGNER_INVALID', 'an emergency names the key that takes its place');
      }
      if (replacement === undefined) return registry.handOver(replaces, reason, caller, claimOf(request));
      const wanted = { ...replacement, purpose: await registry.purposeOf(replaces), replaces, reason };
      const asked = emergency === undefined ? wanted : { ...wanted, emergency };
      return answerWith(reply, listed(await registry.rotate(asked, caller, claimOf(request, listed))));
    },
  );

  app.post(
    '/v1/signers/:signerId/activate',
    {
      config: { ...changes, audit: ['signer.rotation.applied'] },
      schema: {
        operationId: 'activateSigner',
        tags,
        summary: 'Put a pending key of manifests in force',
        params: SignerParams,
        body: optionalBody(NoBody),
        response,
      },
    },
    (request) => registry.activate(request.params.signerId, callerOf(request), claimOf(request)),
  );

  app.post(
    '/v1/signers/:signerId/retire',
    {
      config: { ...changes, audit: ['signer.retired'] },
      schema: {
        operationId: 'retireSigner',
        tags,
        summary: 'End the overlap: the signer signs no more, and what it signed still counts',
        params: SignerParams,
        body: optionalBody(NoBody),
        response,
      },
    },
    (request) => registry.retire(request.params.signerId, callerOf(request), claimOf(request)),
  );

  app.post(
    '/v1/signers/:signerId/revoke',
    {
      config: { ...changes, audit: ['signer.revoked'], lane: 'brake' },
      schema: {
        operationId: 'revokeSigner',
        tags,
        summary: 'End the trust in a signer for good; what it signed no longer vouches for anything',
        params: SignerParams,
        body: RevokeSignerBody,
        response,
      },
    },
    (request) => registry.revoke(request.params.signerId, request.body.reason, callerOf(request), claimOf(request)),
  );

  app.post(
    '/v1/signers/:signerId/compromise',
    {
      config: { ...changes, audit: ['signer.compromise'], lane: 'brake' },
      schema: {
        operationId: 'compromiseSigner',
        tags,
        summary: 'Say that a key was in other hands, and until when it surely was not',
        params: SignerParams,
        body: CompromiseSignerBody,
        response,
      },
    },
    (request) => registry.compromise(request.params.signerId, request.body, callerOf(request), claimOf(request)),
  );
};

/** What was added to the list. */
export function listed(entry: SignerView): Answer<SignerView> {
  return { status: 201, body: entry };
}

/** Who asks, and in which request. */
export function callerOf(request: FastifyRequest) {
  return { ...request.principal, traceId: request.traceId };
}
