import type { X509Certificate } from 'node:crypto';

import type { Clock } from '../../clock.ts';
import type { IdentityConfig } from '../../config/identity.ts';
import type { WatchedSource } from '../../trust/watched.ts';
import type { CertificateFacts } from '../certificate.ts';
import { Unauthenticated } from '../errors.ts';
import { normalSerial } from '../serials.ts';
import type { TrustBundle } from '../trust-bundle.ts';
import { createCrlSource } from './crl-source.ts';
import type { Standing } from './lists.ts';
import { createSerialsSource } from './serials-source.ts';

export interface RevocationOptions {
  readonly config: Pick<IdentityConfig['revocation'], 'serials' | 'serialsFile' | 'crlFiles'>;
  /** Of the authorities whose lists are read. */
  readonly clientCaFile: string;
  /** What is in force of that file. */
  readonly trustBundle: () => Pick<TrustBundle, 'authorities'>;
  /** True for a serial number, as `normalSerial` spells it, that is locked. */
  readonly isSerialLocked: (serial: string) => boolean;
  readonly clock: Clock;
}

/** Which certificates were taken back: by the settings, by files, by locks. All in memory, asked on every request. */
export interface Revocation {
  /** Throws Unauthenticated where nobody in force says whether it was. `chain`: the certificate first, its issuers after it. */
  isRevoked(facts: CertificateFacts, chain: readonly X509Certificate[]): boolean;
  readonly sources: readonly WatchedSource[];
}

export function createRevocation(options: RevocationOptions): Revocation {
  const { config, clientCaFile, trustBundle, isSerialLocked, clock } = options;
  const { serials, serialsFile, crlFiles } = config;
  const listed = new Set(serials.map(normalSerial));
  const file = serialsFile === undefined ? undefined : createSerialsSource(serialsFile);
  const crl =
    crlFiles.length === 0 ? undefined : createCrlSource({ files: crlFiles, clientCaFile, trustBundle, clock });
  // A chain is the same object as long as the same bundle vouches for the same connection.
  const judged = new WeakMap<readonly X509Certificate[], Standing & { by: unknown }>();

  function isListed(serial: string): boolean {
    return listed.has(serial) || file?.has(serial) === true || isSerialLocked(serial);
  }

  function standingOf(chain: readonly X509Certificate[]): Standing['status'] {
    if (crl === undefined) return 'good';
    const lists = crl.current();
    const now = clock();
    const known = judged.get(chain);
    if (known !== undefined && known.by === lists && now < known.until) return known.status;
    const standing = lists.standingOf(chain, now);
    judged.set(chain, { ...standing, by: lists });
    return standing.status;
  }

  function isRevoked({ serial }: CertificateFacts, chain: readonly X509Certificate[]): boolean {
    if (isListed(serial)) return true;
    const status = standingOf(chain);
    if (status === 'unknown') throw new Unauthenticated('CERTIFICATE_STATUS_UNKNOWN');
    return status === 'revoked';
  }

  return { isRevoked, sources: [file?.source, crl?.source].filter((source) => source !== undefined) };
}
