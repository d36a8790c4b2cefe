import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import { answerClientError } from './client-errors.ts';
import { NotFound } from './problem.ts';
import { applySocketLimits, MAX_REQUESTS_PER_SOCKET, type TlsMaterial, withoutCertificates } from './server-options.ts';

/** Surfaces of machines: a person has no use for them. */
const MACHINES_ONLY = ['/api/', '/mcp'];

declare module 'fastify' {
  interface FastifyInstance {
    /** Absent unless it is asked for. */
    readonly humanListener?: HumanListener;
  }
}

export interface HumanListener {
  readonly server: Server;
  /** Resolves with its URL. */
  listen(at: { readonly host: string; readonly port: number }): Promise<string>;
}

export interface HumanListenerOptions {
  readonly tls: Pick<TlsMaterial, 'key' | 'cert' | 'minVersion'>;
  /** Gets every connection of this listener, so that identity knows them. */
  readonly connections: WeakSet<Socket>;
}

/**
 * A second listener, for people who have a token and no certificate. Its requests get to the same app, through the same refusals
 * and limits. Register it behind identity.
 */
export const humanListenerPlugin = fastifyPlugin(
  async (app: FastifyInstance, { tls, connections }: HumanListenerOptions) => {
    const server = createServer(withoutCertificates(tls));
    server.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET;
    applySocketLimits(server);
    app.watchConnections(server);
    server.on('secureConnection', (socket: Socket) => connections.add(socket));
    server.on('clientError', answerClientError);
    server.on('request', (request, response) => app.server.emit('request', request, response));

    app.addHook('onRequest', (request, _reply, done) => {
      const path = request.routeOptions.url ?? '';
      const isHuman = connections.has(request.raw.socket);
      done(isHuman && MACHINES_ONLY.some((prefix) => path.startsWith(prefix)) ? new NotFound() : undefined);
    });
    app.decorate('humanListener', { server, listen: (at) => listen(server, at) });
    // Its requests need what is closed later.
    app.addHook('preClose', () => close(server));
  },
  { name: 'human-listener', fastify: '5.x', dependencies: ['connections', 'refusals', 'identity'] },
);

function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  server.once('error', reject);
  server.listen({ host, port }, () => {
    server.off('error', reject);
    const address = server.address();
    const bound = typeof address === 'object' && address !== null ? address : { address: host, port };
    resolve(`https://${bound.address.includes(':') ? `[${bound.address}]` : bound.address}:${bound.port}`);
  });
  return promise;
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
