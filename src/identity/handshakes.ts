import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import { endsOf } from '../http/socket-ends.ts';
import type { TrustBundle } from './trust-bundle.ts';

/**
 * Which bundle the handshake of a connection was judged by. Node tells a server nothing of the intermediates that a client has
 * sent: of a certificate that only they lead from, the word of the handshake is all there is.
 */
export interface Handshakes {
  /** Knows the connections of this server from now on. */
  watch(server: Server): void;
  /** Undefined for a connection that was not watched from its first byte. */
  bundleOf(socket: TLSSocket): TrustBundle | undefined;
}

export function createHandshakes(trustBundle: () => TrustBundle): Handshakes {
  const begun = new Map<string, { readonly by: TrustBundle }>();
  const done = new WeakMap<TLSSocket, TrustBundle>();

  function watch(server: Server): void {
    // Node binds a connection to the authorities in force when it comes, however long its handshake takes.
    server.on('connection', (socket: Socket) => {
      const ends = endsOf(socket);
      if (ends === undefined) return;
      const handshake = { by: trustBundle() };
      begun.set(ends, handshake);
      socket.once('close', () => {
        if (begun.get(ends) === handshake) begun.delete(ends);
      });
    });
    server.prependListener('secureConnection', (socket: TLSSocket) => {
      const handshake = begun.get(endsOf(socket) ?? '');
      if (handshake !== undefined) done.set(socket, handshake.by);
    });
  }

  return { watch, bundleOf: (socket) => done.get(socket) };
}
