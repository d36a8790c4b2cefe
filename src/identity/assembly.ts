import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';

import type { Clock } from '../clock.ts';
import type { IdentityConfig } from '../config/identity.ts';
import type { WatchedSource } from '../trust/watched.ts';
import { type Authenticate, type AuthenticateParts, createAuthenticate } from './authenticate.ts';
import { createHandshakes, type Handshakes } from './handshakes.ts';
import type { IdentityMap } from './identity-map.ts';
import { createJudge } from './mesh/judge.ts';
import { createMesh } from './mesh/mesh.ts';
import { createPeers, type IsRevoked, type Peers } from './mtls.ts';
import { createNames } from './names.ts';
import { createAsk } from './revocation/ocsp/responder.ts';
import { createOcspStatus, type OcspStatus, type OcspStatusOptions } from './revocation/ocsp/status.ts';
import { createRevocation } from './revocation/revocation.ts';
import { createStanding, type Standing } from './standing.ts';
import { tokenIssuersSource } from './tokens/source.ts';
import { createTokens, type TokensOptions } from './tokens/tokens.ts';
import type { TrustBundle } from './trust-bundle.ts';

export interface IdentityAssemblyOptions {
  readonly config: IdentityConfig;
  readonly identityMap: () => IdentityMap;
  readonly trustBundle: () => TrustBundle;
  /** Where that bundle comes from. */
  readonly clientCaFile: string;
  readonly locks: AccessLocks;
  /** What tokens need; without it none is accepted, whatever the settings say. */
  readonly tokens?: Pick<TokensOptions, 'idOf' | 'observe'>;
  /** What is told of responders that are asked about client certificates. */
  readonly ocsp: Pick<OcspStatusOptions, 'revoked' | 'failed'>;
  /** True for a connection of the listener for humans. */
  readonly isHumanListener?: (socket: Socket) => boolean;
  readonly clock: Clock;
}

/** Who is locked out now; serial numbers as `normalSerial` spells them. */
export interface AccessLocks {
  isSerialLocked(serial: string): boolean;
  isPrincipalLocked(principalId: string): boolean;
}

/** Who calls, put together from what the settings ask for. */
export interface Identity {
  readonly authenticate: Authenticate;
  readonly peers: Peers;
  /** To be told of the server that asks for client certificates, before it listens. */
  readonly handshakes: Handshakes;
  /** Throws Unauthenticated for a connection that may send no more requests, whatever was let in on it before. */
  readonly standing: Standing;
  /** Files behind it, to be loaded before anything listens. */
  readonly sources: readonly WatchedSource[];
}

export function assembleIdentity(options: IdentityAssemblyOptions): Identity {
  const { config, identityMap, trustBundle, locks, clock } = options;
  const { isSerialLocked } = locks;
  const revocation = createRevocation({ ...options, config: config.revocation, isSerialLocked });
  const status = ocspStatus(options);
  const isRevoked: IsRevoked = (facts, chain) =>
    revocation.isRevoked(facts, chain) || status?.isRevoked(facts.certificate) === true;
  const handshakes = createHandshakes(trustBundle);
  const peers = createPeers({ trustBundle, handshakeOf: handshakes.bundleOf, isRevoked, clock });
  const names = createNames({ identityMap, trustDomain: config.trustDomain, allowCommonName: config.allowCn });
  const judge = createJudge({ trustBundle, isRevoked, clock });
  const { crlFiles, ocsp } = config.revocation;
  const certificateNeeded = crlFiles.length > 0 || ocsp === 'require';
  const sources: WatchedSource[] = [...revocation.sources];
  const parts: AuthenticateParts = {
    peers,
    confirm: status?.confirm,
    names,
    mesh: createMesh({ proxies: config.proxies, judge, certificateNeeded }),
    tokens: tokensOf(options, sources),
    isHumanListener: options.isHumanListener ?? (() => false),
    skipForLoopback: config.skipMtls,
    isLocked: locks.isPrincipalLocked,
  };
  return { authenticate: createAuthenticate(parts), peers, handshakes, standing: createStanding(parts), sources };
}

/** What responders say of client certificates; undefined where nobody is asked. */
function ocspStatus({ config, trustBundle, clock, ocsp }: IdentityAssemblyOptions): OcspStatus | undefined {
  const { ocsp: mode, ocspUrl: url } = config.revocation;
  if (mode === 'off') return undefined;
  const issuerOf = (certificate: X509Certificate) => trustBundle().chainOf(certificate, clock())?.[1];
  return createOcspStatus({ ...ocsp, ask: createAsk({ url, withNonce: true, clock }), issuerOf, clock });
}

/** Whose tokens count says the file, which is one more of the sources. */
function tokensOf({ config, tokens, clock }: IdentityAssemblyOptions, sources: WatchedSource[]) {
  if (config.tokens === undefined || tokens === undefined) return undefined;
  const { toleranceSeconds } = config.tokens;
  const authority = createTokens({ ...tokens, toleranceSeconds, clock, now: () => performance.now() });
  sources.push(tokenIssuersSource(config.tokens, authority));
  return authority;
}
