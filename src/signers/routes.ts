import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { type Answer, answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import {
  NoQuery,
  RegisterSignerBody,
  RevokeSignerBody,
  SignerEntry,
  SignerList,
  SignerParams,
  type SignerView,
} from './schema.ts';
import { createSignerRegistry } from './service.ts';

const tags = ['signers'];

/** The signer registry over HTTP. */
export const signerRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const registry = createSignerRegistry({ storage: app.storage, audit: app.audit });

  app.get(
    '/v1/signers',
    {
      config: { permission: 'signers.read', audit: [], scope: 'global' },
      schema: {
        operationId: 'listSigners',
        tags,
        summary: 'Every registered signer by id, in the form of signers.json',
        querystring: NoQuery,
        response: { 200: SignerList },
      },
    },
    async () => ({ signers: await registry.list() }),
  );

  app.post(
    '/v1/signers',
    {
      config: { permission: 'signers.write', audit: ['signer.registered'], scope: 'global' },
      schema: {
        operationId: 'registerSigner',
        tags,
        summary: 'Trust a public key for one purpose',
        body: RegisterSignerBody,
        response: { 201: SignerEntry },
      },
    },
    async (request, reply) => {
      const caller = { ...request.principal, traceId: request.traceId };
      return answerWith(reply, registered(await registry.register(request.body, caller, claimOf(request, registered))));
    },
  );

  app.post(
    '/v1/signers/:signerId/revoke',
    {
      config: { permission: 'signers.write', audit: ['signer.revoked'], scope: 'global', lane: 'brake' },
      schema: {
        operationId: 'revokeSigner',
        tags,
        summary: 'End the trust in a signer for good; what it signed no longer vouches for anything',
        params: SignerParams,
        body: RevokeSignerBody,
        response: { 200: SignerEntry },
      },
    },
    (request) => {
      const caller = { ...request.principal, traceId: request.traceId };
      return registry.revoke(request.params.signerId, request.body.reason, caller, claimOf(request));
    },
  );
};

function registered(entry: SignerView): Answer<SignerView> {
  return { status: 201, body: entry };
}
