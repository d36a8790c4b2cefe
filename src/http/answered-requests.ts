import type { FastifyInstance, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

/** Fastify's listener that aborts `request.signal` when the request closes. */
const ABORTS = 'onAbort';

/**
 * Does not abort `request.signal` of requests that have their answer: Fastify would do so for each of them, with an error
 * object and its stack that nobody sees. A stream is no answer yet.
 */
export const answeredRequestsPlugin = fastifyPlugin(
  async (app: FastifyInstance) => {
    app.addHook('onSend', (request, _reply, payload, done) => {
      if (typeof payload === 'string' || Buffer.isBuffer(payload)) forgetAbort(request);
      done();
    });
  },
  { name: 'answered-requests', fastify: '5.x' },
);

function forgetAbort({ raw }: FastifyRequest): void {
  for (const listener of raw.listeners('close')) {
    // The types of Node know a listener as Function.
    if (listener.name === ABORTS) raw.off('close', listener as () => void);
  }
}
