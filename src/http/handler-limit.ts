import type { FastifyInstance, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

/** Fastify's listener that ends `handlerTimeout`, and aborts `request.signal`, when the request closes. */
const ENDS = 'onAbort';

/**
 * Keeps `handlerTimeout` in force for requests with a body: Node closes a request when its body was read, and Fastify takes
 * that for the client's going away, which would leave a handler that hangs without a limit. `request.signal` therefore says
 * nothing; a handler that must hear of a client that went away listens to `reply.raw`.
 */
export const handlerLimitPlugin = fastifyPlugin(
  async (app: FastifyInstance) => {
    app.addHook('onRequest', (request, _reply, done) => {
      keepLimit(request);
      done();
    });
  },
  { name: 'handler-limit', fastify: '5.x' },
);

function keepLimit({ raw }: FastifyRequest): void {
  for (const listener of raw.listeners('close')) {
    // The types of Node know a listener as Function.
    if (listener.name === ENDS) raw.off('close', listener as () => void);
  }
}
