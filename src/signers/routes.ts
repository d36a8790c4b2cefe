import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import { ImportedSigners, ImportSignersBody, NoQuery, RegisterSignerBody, SignerEntry, SignerList } from './schema.ts';
import { createSignerRegistry, type SignerRegistryOptions } from './service.ts';
import { callerOf, listed, signerStepRoutes } from './step-routes.ts';

const tags = ['signers'];

/** The signer registry over HTTP. */
export const signerRoutes: FastifyPluginAsyncTypebox<Pick<SignerRegistryOptions, 'own' | 'distrusted'>> = async (
  app,
  { own = new Set(), distrusted = () => undefined },
) => {
  const registry = createSignerRegistry({ storage: app.storage, audit: app.audit, own, distrusted });

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
      const view = await registry.register(request.body, callerOf(request), claimOf(request, listed));
      return answerWith(reply, listed(view));
    },
  );

  app.post(
    '/v1/signers/import',
    {
      config: { permission: 'signers.write', audit: ['signer.registered'], scope: 'global' },
      schema: {
        operationId: 'importSigners',
        tags,
        summary: 'Trust the keys of a signers.json: all of them, or none',
        body: ImportSignersBody,
        response: { 200: ImportedSigners },
      },
    },
    (request) => registry.importAll(request.body.signers, callerOf(request), claimOf(request)),
  );

  await app.register(signerStepRoutes, { registry });
};
