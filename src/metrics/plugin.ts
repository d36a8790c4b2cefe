import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Metrics } from './metrics.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly metrics: Metrics;
  }
}

/** Decorates `app.metrics` and measures every answered request under its route's pattern. */
export const metricsPlugin = fastifyPlugin(
  async (app: FastifyInstance, options: { readonly metrics: Metrics }) => {
    app.decorate('metrics', options.metrics);
    app.addHook('onResponse', (request, reply, done) => {
      // One name for whatever is unknown: paths are the caller's to choose.
      const route = request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched');
      options.metrics.http.answered(request.method, route, reply.statusCode, reply.elapsedTime / 1000);
      done();
    });
  },
  { name: 'metrics', fastify: '5.x' },
);
