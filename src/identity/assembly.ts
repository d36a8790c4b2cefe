import type { Socket } from 'node:net';

import type { Clock } from '../clock.ts';
import type { IdentityConfig } from '../config/identity.ts';
import { type Authenticate, createAuthenticate, type Mesh, type Tokens } from './authenticate.ts';
import type { CertificateFacts } from './certificate.ts';
import { Unauthenticated } from './errors.ts';
import type { IdentityMap } from './identity-map.ts';
import { createPeers, type Peers } from './mtls.ts';
import { createNames } from './names.ts';
import { denyList, normalSerial } from './serials.ts';

export interface IdentityAssemblyOptions {
  readonly config: IdentityConfig;
  readonly identityMap: () => IdentityMap;
  readonly locks: AccessLocks;
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
}

export function assembleIdentity({ config, identityMap, locks, clock }: IdentityAssemblyOptions): Identity {
  const isDenied = denyList(config.revocation.serials);
  const isRevoked = ({ serial }: CertificateFacts) => isDenied(serial) || locks.isSerialLocked(normalSerial(serial));
  const peers = createPeers({ isRevoked, clock });
  const names = createNames({ identityMap, trustDomain: config.trustDomain, allowCommonName: config.allowCn });
  const authenticate = createAuthenticate({
    peers,
    names,
    mesh: NO_MESH,
    tokens: NO_TOKENS,
    isHumanListener: (_socket: Socket) => false,
    skipForLoopback: config.skipMtls,
    isLocked: locks.isPrincipalLocked,
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
