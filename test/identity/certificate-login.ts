import type { Clock } from '../../src/clock.ts';
import { type Authenticate, type AuthenticateParts, createAuthenticate } from '../../src/identity/authenticate.ts';
import { Unauthenticated } from '../../src/identity/errors.ts';
import type { IdentityMap } from '../../src/identity/identity-map.ts';
import { createPeers, type IsRevoked, type PeersOptions } from '../../src/identity/mtls.ts';
import { createNames } from '../../src/identity/names.ts';

export interface CertificateLoginOptions {
  readonly identityMap: IdentityMap;
  readonly trustDomain: string;
  readonly allowCommonName?: boolean;
  readonly trustBundle?: PeersOptions['trustBundle'];
  readonly handshakeOf?: PeersOptions['handshakeOf'];
  readonly isRevoked?: IsRevoked;
  readonly clock?: Clock;
  readonly skipForLoopback?: boolean;
  readonly mesh?: AuthenticateParts['mesh'];
  readonly tokens?: AuthenticateParts['tokens'];
  readonly isLocked?: AuthenticateParts['isLocked'];
}

const HANDSHAKE: ReturnType<PeersOptions['trustBundle']> = { chainOf: (leaf) => [leaf], includes: () => true };

/** Identity from client certificates, and from what else a test asks for. */
export function certificateLogin(options: CertificateLoginOptions): Authenticate {
  const { identityMap, trustDomain, allowCommonName = false, clock = Date.now } = options;
  const none = () => {
    throw new Unauthenticated('FORWARDED_MISSING');
  };
  return createAuthenticate({
    peers: createPeers({
      // The word of the handshake, for tests that change no authorities.
      trustBundle: options.trustBundle ?? (() => HANDSHAKE),
      handshakeOf: options.handshakeOf ?? (() => undefined),
      isRevoked: options.isRevoked ?? (() => false),
      clock,
    }),
    names: createNames({ identityMap: () => identityMap, trustDomain, allowCommonName }),
    mesh: options.mesh ?? { isProxy: () => false, callerOf: none },
    tokens: options.tokens,
    isHumanListener: () => false,
    skipForLoopback: options.skipForLoopback ?? false,
    isLocked: options.isLocked ?? (() => false),
  });
}
