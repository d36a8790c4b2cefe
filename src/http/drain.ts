import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import { endsOf } from './socket-ends.ts';

/** Milliseconds a connection may live: an old one has an old handshake, and never moves to a new replica. */
export const MAX_CONNECTION_AGE = 600_000;

declare module 'fastify' {
  interface FastifyInstance {
    readonly isDraining: boolean;
    /** From now on readiness is false and every answer closes its connection. Requests under way finish. */
    drain(): void;
    /** Ends connections of another server in time, too: one whose requests get to this app. */
    watchConnections(server: FastifyInstance['server']): void;
  }
}

interface Connection {
  readonly openedAt: number;
  activeRequests: number;
}

/**
 * Ends connections in time: after 10 minutes, and when the service drains. Without it `app.close()` waits for every
 * keep-alive client to lose interest (74 s were measured).
 */
export const connectionsPlugin = fastifyPlugin(
  async (app: FastifyInstance, options: { readonly clock: Clock }) => {
    const connections = new Map<Socket, Connection>();
    const handshakes = new Map<string, Socket>();
    let draining = false;

    function watch(server: FastifyInstance['server']): void {
      trackHandshakes(server, handshakes);
      server.on(isTls(server) ? 'secureConnection' : 'connection', (socket: Socket) => {
        connections.set(socket, { openedAt: options.clock(), activeRequests: 0 });
        socket.once('close', () => connections.delete(socket));
      });
    }

    watch(app.server);
    app.server.on('request', (request, response) => {
      const connection = connections.get(request.socket);
      if (connection === undefined) return;
      connection.activeRequests += 1;
      response.once('close', () => {
        connection.activeRequests -= 1;
        if (draining && connection.activeRequests === 0) request.socket.end();
      });
    });

    app.decorate('watchConnections', watch);
    app.decorate('isDraining', { getter: () => draining });
    app.decorate('drain', () => {
      draining = true;
    });

    app.addHook('onSend', (request, reply, _payload, done) => {
      const connection = connections.get(request.raw.socket);
      const aged = connection !== undefined && options.clock() - connection.openedAt >= MAX_CONNECTION_AGE;
      if (draining || aged) reply.header('connection', 'close');
      done();
    });

    app.addHook('preClose', async () => {
      draining = true;
      for (const [socket, connection] of connections) if (connection.activeRequests === 0) socket.destroy();
      for (const socket of handshakes.values()) socket.destroy();
    });
  },
  { name: 'connections', fastify: '5.x' },
);

/** True for the API's server; tests of single parts have one without TLS. */
export function isTls(server: object): server is Server {
  return 'setSecureContext' in server;
}

function trackHandshakes(server: FastifyInstance['server'], handshakes: Map<string, Socket>): void {
  if (!isTls(server)) return;
  server.on('connection', (socket: Socket) => {
    const ends = endsOf(socket);
    if (ends === undefined) return;
    handshakes.set(ends, socket);
    socket.once('close', () => {
      if (handshakes.get(ends) === socket) handshakes.delete(ends);
    });
  });
  server.on('secureConnection', (socket: Socket) => handshakes.delete(endsOf(socket) ?? ''));
}
