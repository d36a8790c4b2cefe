import type { Socket } from 'node:net';

import type { Clock } from '../clock.ts';
import type { IdentityConfig } from '../config/identity.ts';
import { type Authenticate, createAuthenticate, type Mesh, type Tokens } from './authenticate.ts';
import type { CertificateFacts } from './certificate.ts';
import { Unauthenticated } from './errors.ts';
import type { IdentityMap } from './identity-map.ts';
import { createPeers, type Peers } from './mtls.ts';
import { createNames } from './names.ts';
import { denyList } from './serials.ts';

export interface IdentityAssemblyOptions {
  readonly config: IdentityConfig;
  readonly identityMap: () => IdentityMap;
  readonly clock: Clock;
}

/** Who calls, put together from what the settings ask for. */
export interface Identity {
  readonly authenticate: Authenticate;
  readonly peers: Peers;
}

export function assembleIdentity({ config, identityMap, clock }: IdentityAssemblyOptions): Identity {
  const isDenied = denyList(config.revocation.serials);
  const peers = createPeers({ isRevoked: ({ serial }: CertificateFacts) => isDenied(serial), clock });
  const names = createNames({ identityMap, trustDomain: config.trustDomain, allowCommonName: config.allowCn });
  const authenticate = createAuthenticate({
    peers,
    names,
    mesh: NO_MESH,
    tokens: NO_TOKENS,
    isHumanListener: (_socket: Socket) => false,
    skipForLoopback: config.skipMtls,
    isLocked: (_principalId: string) => false,
  });
  return { authenticate, peers };
}

const NO_TOKENS: Tokens | undefined = undefined;

const NO_MESH: Mesh = {
  isProxy: () => false,
  callerOf: () => {
    throw new Unauthenticated('FORWARDED_MISSING');
  },
};
