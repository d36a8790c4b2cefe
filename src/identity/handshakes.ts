import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

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
  // The TCP socket has no public link to its TLS socket; the peer's address and port are one.
  const begun = new Map<string, TrustBundle>();
  const done = new WeakMap<TLSSocket, TrustBundle>();

  function watch(server: Server): void {
    // Node binds a connection to the authorities in force when it comes, however long its handshake takes.
    server.on('connection', (socket: Socket) => {
      const peer = peerOf(socket);
      begun.set(peer, trustBundle());
      socket.once('close', () => begun.delete(peer));
    });
    server.prependListener('secureConnection', (socket: TLSSocket) => {
      const bundle = begun.get(peerOf(socket));
      if (bundle !== undefined) done.set(socket, bundle);
    });
  }

  return { watch, bundleOf: (socket) => done.get(socket) };
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
