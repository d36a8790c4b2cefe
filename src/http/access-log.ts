import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

/** One line per answered request: by the route's pattern, for paths are the caller's to choose. */
export const accessLogPlugin = fastifyPlugin(
  async (app: FastifyInstance) => {
    app.addHook('onResponse', (request, reply, done) => {
      const route = request.is404 ? 'unmatched' : request.routeOptions.url;
      const { method, traceId } = request;
      request.log.info(
        { method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime), traceId },
        'request',
      );
      done();
    });
  },
  { name: 'access-log', fastify: '5.x', dependencies: ['request-context'] },
);
