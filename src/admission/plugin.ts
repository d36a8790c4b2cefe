import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import { type AdmissionService, createAdmissionService } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    admission: AdmissionService;
  }
}

/** The fail-closed chain that every start goes through. */
export const admissionPlugin = fastifyPlugin(
  async (app, { clock }: { readonly clock: Clock }) => {
    const admission = createAdmissionService({
      storage: app.storage,
      policy: app.policy,
      keyOf: app.signers.keyOf,
      clock,
      onFailure: (check, error) => app.log.error({ err: error, check }, 'an admission check failed'),
    });
    app.decorate('admission', admission);
  },
  { name: 'admission', fastify: '5.x', dependencies: ['storage', 'signers', 'policy'] },
);
