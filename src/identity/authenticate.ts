import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';

import type { CertificateFacts } from './certificate.ts';
import { ForwardedByStranger, Unauthenticated } from './errors.ts';
import type { Peers } from './mtls.ts';
import { claimedBy, type Names, type PeerName } from './names.ts';
import type { Principal } from './principal.ts';

/** Says who a request is from; throws Unauthenticated. A promise only where somebody else has to be asked first. */
export type Authenticate = (socket: Socket, request: FastifyRequest) => Principal | Promise<Principal>;

/** Whom a proxy speaks for. */
export interface Forwarded extends PeerName {
  /** Where the proxy sends it. */
  readonly certificate?: X509Certificate | undefined;
  /** Upper-case hex SHA-256 of the certificate that the proxy was shown, where it says so. */
  readonly fingerprint: string | undefined;
}

/** The proxies whose word counts. */
export interface Mesh {
  isProxy(peer: PeerName): boolean;
  /** The one caller that this proxy names; throws Unauthenticated for none, more than one, or what cannot be read. */
  callerOf(peer: PeerName, request: FastifyRequest): Forwarded;
}

/** Tokens in `Authorization: Bearer`. */
export interface Tokens {
  /**
   * Throws Unauthenticated. `fingerprint`: of the certificate at the other end, upper-case hex SHA-256; undefined without one.
   * `onlyHumans`: the listener is for them.
   */
  authenticate(
    header: string,
    via: { readonly fingerprint: string | undefined; readonly onlyHumans: boolean },
  ): Principal | Promise<Principal>;
}

export interface AuthenticateParts {
  readonly peers: Peers;
  /** Asks whoever has to say that a certificate is good; a promise where that takes time. Throws Unauthenticated. Absent: nobody. */
  readonly confirm?: ((certificate: X509Certificate) => Promise<void> | undefined) | undefined;
  readonly names: Names;
  readonly mesh: Mesh;
  /** Absent: no token is accepted. */
  readonly tokens?: Tokens | undefined;
  /** True for a connection of the listener that asks for no certificate. */
  readonly isHumanListener: (socket: Socket) => boolean;
  /** DEV_SKIP_MTLS: a loopback peer without a certificate is the principal `dev`. Never in production. */
  readonly skipForLoopback: boolean;
  /** True for a principal that is locked out. */
  readonly isLocked: (principalId: string) => boolean;
}

const DEV: Principal = Object.freeze({
  id: 'dev',
  kind: 'human',
  roles: Object.freeze(['operator'] as const),
  workspaces: Object.freeze(['demo']),
});

/** Identity from the connection, from the proxy in front, or from the token over either; in that order, and nowhere else. */
export function createAuthenticate(parts: AuthenticateParts): Authenticate {
  const { peers, confirm, names, mesh, tokens, isHumanListener, skipForLoopback, isLocked } = parts;

  function unlocked(principal: Principal): Principal {
    if (isLocked(principal.id)) throw new Unauthenticated('PRINCIPAL_LOCKED', principal);
    return principal;
  }

  /** Who sent a header that only proxies send; a certificate that is nobody's here sends it in nobody's name. */
  function senderOf(peer: PeerName): Principal | undefined {
    try {
      return names(peer);
    } catch (error) {
      if (error instanceof Unauthenticated) return undefined;
      throw error;
    }
  }

  // A proxy is no principal; it is locked out by its SPIFFE ID, and with it everyone it speaks for.
  function requireUnlockedProxy(peer: PeerName): void {
    if (peer.uris.some(isLocked)) throw new Unauthenticated('PRINCIPAL_LOCKED', claimedBy(peer));
  }

  function withToken(
    header: string,
    via: { fingerprint: string | undefined; onlyHumans: boolean },
  ): Principal | Promise<Principal> {
    if (tokens === undefined) throw new Unauthenticated('TOKEN_NOT_ACCEPTED');
    const found = tokens.authenticate(header, via);
    return found instanceof Promise ? found.then(unlocked) : unlocked(found);
  }

  function confirmed<T>(certificate: X509Certificate | undefined, then: () => T | Promise<T>): T | Promise<T> {
    const asked = certificate === undefined ? undefined : confirm?.(certificate);
    return asked === undefined ? then() : asked.then(then);
  }

  function ofCertificate(peer: CertificateFacts, request: FastifyRequest): Principal | Promise<Principal> {
    if (!mesh.isProxy(peer)) {
      refuseForwarded(request, () => senderOf(peer));
      return ofCaller(peer, peer.fingerprint256, request);
    }
    requireUnlockedProxy(peer);
    const caller = mesh.callerOf(peer, request);
    return confirmed(caller.certificate, () => ofCaller(caller, caller.fingerprint, request));
  }

  function ofCaller(
    caller: PeerName,
    fingerprint: string | undefined,
    request: FastifyRequest,
  ): Principal | Promise<Principal> {
    const principal = unlocked(names(caller));
    const header = request.headers.authorization;
    if (header === undefined) return principal;
    // Two identities in one request: only who carries the tokens of others may say so.
    if (!principal.roles.includes('gateway')) throw new Unauthenticated('TOKEN_NOT_ACCEPTED');
    return withToken(header, { fingerprint, onlyHumans: false });
  }

  return (socket, request) => {
    if (isHumanListener(socket)) {
      refuseForwarded(request, () => undefined);
      const header = request.headers.authorization;
      if (header === undefined) throw new Unauthenticated('NO_TOKEN');
      return withToken(header, { fingerprint: undefined, onlyHumans: true });
    }
    const peer = peers.certificateOf(socket);
    if (peer !== undefined) return confirmed(peer.certificate, () => ofCertificate(peer, request));
    refuseForwarded(request, () => undefined);
    if (skipForLoopback && isLoopback(socket.remoteAddress)) return unlocked(DEV);
    throw new Unauthenticated('NO_CERTIFICATE');
  };
}

/** A header that makes identities is never overlooked where it does not count: somebody relies on it, or tries to. */
function refuseForwarded(request: FastifyRequest, sender: () => Principal | undefined): void {
  if (request.headers['x-forwarded-client-cert'] === undefined) return;
  throw new ForwardedByStranger(sender());
}

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address ?? '');
}
