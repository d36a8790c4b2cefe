import type { SecureContextOptions, Server } from 'node:tls';

import type { Clock } from '../clock.ts';
import type { ServiceConfig } from '../config.ts';
import type { TlsMaterial } from '../http/server-options.ts';
import { type ClientAuthorities, createClientAuthorities } from '../trust/client-authorities.ts';
import { createIdentityMapFile, type IdentityMapFile } from '../trust/identity-map-file.ts';
import { createServerCertificate, type ServerMaterial } from '../trust/server-certificate.ts';
import type { WatchedSource } from '../trust/watched.ts';

export interface TrustFiles {
  readonly authorities: ClientAuthorities;
  readonly identityMap: IdentityMapFile;
  readonly sources: readonly WatchedSource[];
  /** Of the API listener, as it is now. */
  material(): TlsMaterial;
  /** Of the listener for humans: its own, or the API listener's. */
  humanMaterial(): ServerMaterial;
  /** New handshakes of the server are made with `options()` from each change on; connections that are there stay. */
  follow(server: Server, options: () => SecureContextOptions): void;
}

/** The files of who may call that this process has itself; nothing of them is in force before their sources are loaded. */
export function openTrustFiles({ api, identity }: ServiceConfig, clock: Clock): TrustFiles {
  const followers: (() => void)[] = [];
  const changed = () => {
    for (const follow of followers) follow();
  };
  const { minVersion } = api;
  const common = { minVersion, clock, changed };
  const certificate = createServerCertificate({ ...common, ...api, name: 'server_certificate' });
  const { certFile, keyFile } = identity.human ?? {};
  const own = certFile !== undefined && keyFile !== undefined;
  const human = own
    ? createServerCertificate({ ...common, certFile, keyFile, name: 'human_certificate' })
    : certificate;
  const authorities = createClientAuthorities({ file: api.clientCaFile, clock, changed });
  const identityMap = createIdentityMapFile(identity.mapFile, identity.trustDomain);

  return {
    authorities,
    identityMap,
    sources: [...new Set([certificate.source, human.source, authorities.source, identityMap.source])],
    material: () => ({
      ...certificate.current(),
      clientCa: authorities.current().pem,
      minVersion,
      requireCertificate: !identity.skipMtls,
    }),
    humanMaterial: human.current,
    follow: (server, options) => {
      followers.push(() => server.setSecureContext(options()));
    },
  };
}
