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
    const { finished } = app.metrics.admission;
    app.decorate('admission', {
      ...admission,
      evaluate: async (subject) => {
        const started = performance.now();
        const result = await admission.evaluate(subject);
        finished((performance.now() - started) / 1000);
        return result;
      },
    });
  },
  { name: 'admission', fastify: '5.x', dependencies: ['storage', 'metrics', 'signers', 'policy'] },
);
