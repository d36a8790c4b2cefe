import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import type { Storage } from './storage.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly storage: Storage;
  }
}

/** Decorates `app.storage` and closes it with the app, after every plugin that was registered later. */
export const storagePlugin = fastifyPlugin(
  async (app: FastifyInstance, options: { readonly storage: Storage }) => {
    app.decorate('storage', options.storage);
    app.addHook('onClose', () => options.storage.close());
  },
  { name: 'storage', fastify: '5.x' },
);
