import fastifyPlugin from 'fastify-plugin';

import type { RuntimeDriver } from './driver.ts';
import { createRuntimeRegistry, type RuntimeRegistry } from './registry.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly runtimes: RuntimeRegistry;
  }
}

/** Decorates `app.runtimes` with the drivers that are on; agents without one of them run elsewhere. */
export const runtimePlugin = fastifyPlugin(
  async (app, options: { readonly drivers?: readonly RuntimeDriver[] }) => {
    app.decorate('runtimes', createRuntimeRegistry(options.drivers ?? []));
  },
  { name: 'runtime', fastify: '5.x' },
);
