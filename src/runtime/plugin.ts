import fastifyPlugin from 'fastify-plugin';

import { managedDriver } from './drivers/managed.ts';
import type { Isolation } from './isolation.ts';
import { createRuntimeRegistry, type RuntimeRegistry } from './registry.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly runtimes: RuntimeRegistry;
    /** Undefined: nothing is run here. */
    readonly isolation: Isolation | undefined;
  }
}

/** Decorates `app.runtimes` with the driver that is on; agents without a runtime run elsewhere. */
export const runtimePlugin = fastifyPlugin(
  async (app, { isolation }: { readonly isolation: Isolation | undefined }) => {
    app.decorate('isolation', isolation);
    // After what runs with it, which is registered later, and before the storage, where the ends of runs are recorded.
    app.addHook('onClose', async () => isolation?.close());
    app.decorate('runtimes', createRuntimeRegistry(isolation === undefined ? [] : [managedDriver(isolation)]));
  },
  { name: 'runtime', fastify: '5.x' },
);
