import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { type CertificateFacts, certificateFacts, requireClientCertificate } from './certificate.ts';
import { Unauthenticated } from './errors.ts';
import type { IdentityMap } from './identity-map.ts';
import type { Principal } from './principal.ts';
import { agentOfPath, isAgentNamespace, parseSpiffeId } from './spiffe.ts';

/** Says who is on a connection; throws Unauthenticated. Called for every request. */
export type Authenticator = (socket: Socket) => Principal;

/** True for a certificate that was taken back. Serial in upper-case hex, issuer as node:crypto prints it. */
export type IsRevoked = (serial: string, issuer: string) => boolean;

export interface MtlsOptions {
  readonly identityMap: IdentityMap;
  readonly trustDomain: string;
  /** Accept the common name of a certificate that has no URI. */
  readonly allowCommonName: boolean;
  readonly isRevoked: IsRevoked;
  readonly clock: Clock;
  /** DEV_SKIP_MTLS: a loopback peer without a certificate is the principal `dev`. Never in production. */
  readonly skipForLoopback: boolean;
}

const DEV: Principal = Object.freeze({
  id: 'dev',
  kind: 'human',
  roles: Object.freeze(['operator'] as const),
  workspaces: Object.freeze(['demo']),
});

/** Identity from the client certificate. The certificate is read once per connection and judged on every request. */
export function mtlsAuthenticator(options: MtlsOptions): Authenticator {
  const known = new WeakMap<TLSSocket, CertificateFacts>();
  return (socket) => {
    if (!(socket instanceof TLSSocket)) throw new Unauthenticated('NO_CERTIFICATE');
    const facts = known.get(socket) ?? readFacts(socket);
    if (facts === undefined) return withoutCertificate(socket, options);
    known.set(socket, facts);
    // Without it a certificate of any authority would do wherever the handshake does not insist (DEV_SKIP_MTLS).
    if (!socket.authorized) throw new Unauthenticated('NOT_TRUSTED');
    requireClientCertificate(facts, options.clock());
    if (options.isRevoked(facts.serial, facts.issuer)) throw new Unauthenticated('CERTIFICATE_REVOKED');
    return principalOf(facts, options);
  };
}

/** A fixed list of serials that are refused, whoever issued them: hex, colons and case do not matter. */
export function denyList(serials: readonly string[]): IsRevoked {
  const normal = (serial: string) =>
    serial
      .replaceAll(':', '')
      .toUpperCase()
      .replace(/^0+(?=.)/, '');
  const denied = new Set(serials.map(normal));
  return (serial) => denied.has(normal(serial));
}

function readFacts(socket: TLSSocket): CertificateFacts | undefined {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? undefined : certificateFacts(certificate);
}

function withoutCertificate(socket: TLSSocket, options: MtlsOptions): Principal {
  if (options.skipForLoopback && isLoopback(socket.remoteAddress)) return DEV;
  throw new Unauthenticated('NO_CERTIFICATE');
}

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address ?? '');
}

function principalOf(facts: CertificateFacts, options: MtlsOptions): Principal {
  const [uri, ...more] = facts.uris;
  if (uri === undefined) return principalOfCommonName(facts.commonName, options);
  // Two names would be two identities, and which one counts would depend on who reads.
  const id = more.length === 0 ? parseSpiffeId(uri) : undefined;
  if (id === undefined) throw new Unauthenticated('SPIFFE_ID_INVALID');
  if (id.trustDomain !== options.trustDomain) throw new Unauthenticated('TRUST_DOMAIN_UNKNOWN');
  if (isAgentNamespace(id.path)) return agentPrincipal(uri, id.path);
  return options.identityMap.bySpiffe.get(uri) ?? unmapped();
}

function agentPrincipal(uri: string, path: string): Principal {
  const agent = agentOfPath(path);
  if (agent === undefined) throw new Unauthenticated('SPIFFE_ID_INVALID');
  return { id: uri, kind: 'agent', roles: ['agent'], workspaces: [agent.workspaceId], agent };
}

function principalOfCommonName(name: string | undefined, options: MtlsOptions): Principal {
  if (!options.allowCommonName || name === undefined) throw new Unauthenticated('NO_IDENTITY');
  return options.identityMap.byCommonName.get(name) ?? unmapped();
}

function unmapped(): never {
  throw new Unauthenticated('NOT_IN_IDENTITY_MAP');
}
