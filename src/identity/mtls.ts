import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { type CertificateFacts, certificateFacts, requireClientCertificate } from './certificate.ts';
import { Unauthenticated } from './errors.ts';
import { claimedBy } from './names.ts';
import type { TrustBundle } from './trust-bundle.ts';

/** A client's certificate first, the authority last. */
export type CertificateChain = readonly X509Certificate[];

/** True for a certificate that was taken back. */
export type IsRevoked = (facts: CertificateFacts, chain: CertificateChain) => boolean;

export interface PeersOptions {
  /** The authorities in force now. */
  readonly trustBundle: () => Pick<TrustBundle, 'chainOf' | 'includes'>;
  /** Those in force at the handshake of a connection; undefined where nobody knows. */
  readonly handshakeOf: (socket: TLSSocket) => TrustBundle | undefined;
  readonly isRevoked: IsRevoked;
  readonly clock: Clock;
}

/** The certificates at the other end of connections, read once and judged on every request. */
export interface Peers {
  /** Undefined when the peer has shown none; throws Unauthenticated for one that does not count now. */
  certificateOf(socket: Socket): CertificateFacts | undefined;
}

interface Known {
  readonly facts: CertificateFacts;
  /** By which bundle; another one has to be asked anew. */
  by: unknown;
  chain: CertificateChain;
  /** Epoch ms: until the first certificate of the chain ends. */
  until: number;
}

export function createPeers(options: PeersOptions): Peers {
  const { trustBundle, handshakeOf, isRevoked, clock } = options;
  const known = new WeakMap<TLSSocket, Known>();

  function certificateOf(socket: Socket): CertificateFacts | undefined {
    if (!(socket instanceof TLSSocket)) throw new Unauthenticated('NO_CERTIFICATE');
    const peer = known.get(socket) ?? firstSight(socket);
    if (peer === undefined) return undefined;
    // Without it a certificate of any authority would do wherever the handshake does not insist.
    if (!socket.authorized) throw new Unauthenticated('NOT_TRUSTED');
    const { facts } = peer;
    const now = clock();
    requireClientCertificate(facts, now);
    const bundle = trustBundle();
    if (peer.by !== bundle || now > peer.until) findChain(peer, bundle, handshakeOf(socket), now);
    if (isRevoked(facts, peer.chain)) throw new Unauthenticated('CERTIFICATE_REVOKED', claimedBy(facts));
    return facts;
  }

  function firstSight(socket: TLSSocket): Known | undefined {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return undefined;
    const peer: Known = {
      facts: certificateFacts(certificate),
      by: undefined,
      chain: [],
      until: 0,
    };
    known.set(socket, peer);
    return peer;
  }

  return { certificateOf };
}

/**
 * `socket.authorized` is the word of the bundle at the handshake; an authority that was removed since takes its clients with
 * it. Over intermediates that only the client has sent there is no other word, and it holds while no authority is gone: then
 * the chain is the certificate alone, whose issuer nobody here knows.
 */
function findChain(
  peer: Known,
  bundle: Pick<TrustBundle, 'chainOf' | 'includes'>,
  handshake: TrustBundle | undefined,
  now: number,
): void {
  const { certificate } = peer.facts;
  const vouched = handshake !== undefined && bundle.includes(handshake);
  const chain = bundle.chainOf(certificate, now) ?? (vouched ? [certificate] : undefined);
  if (chain === undefined) throw new Unauthenticated('NOT_TRUSTED');
  peer.chain = chain;
  peer.until = Math.min(...chain.map(({ validToDate }) => validToDate.getTime()));
  peer.by = bundle;
}
