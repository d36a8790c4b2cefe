import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { type CertificateFacts, certificateFacts, requireClientCertificate } from './certificate.ts';
import { Unauthenticated } from './errors.ts';

/** True for a certificate that was taken back. */
export type IsRevoked = (facts: CertificateFacts) => boolean;

export interface PeersOptions {
  readonly isRevoked: IsRevoked;
  readonly clock: Clock;
}

/** The certificates at the other end of connections, read once and judged on every request. */
export interface Peers {
  /** Undefined when the peer has shown none; throws Unauthenticated for one that does not count now. */
  certificateOf(socket: Socket): CertificateFacts | undefined;
}

export function createPeers(options: PeersOptions): Peers {
  const known = new WeakMap<TLSSocket, CertificateFacts>();

  function certificateOf(socket: Socket): CertificateFacts | undefined {
    if (!(socket instanceof TLSSocket)) throw new Unauthenticated('NO_CERTIFICATE');
    const facts = known.get(socket) ?? readFacts(socket);
    if (facts === undefined) return undefined;
    known.set(socket, facts);
    // Without it a certificate of any authority would do wherever the handshake does not insist.
    if (!socket.authorized) throw new Unauthenticated('NOT_TRUSTED');
    requireClientCertificate(facts, options.clock());
    if (options.isRevoked(facts)) throw new Unauthenticated('CERTIFICATE_REVOKED');
    return facts;
  }

  return { certificateOf };
}

function readFacts(socket: TLSSocket): CertificateFacts | undefined {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? undefined : certificateFacts(certificate);
}
