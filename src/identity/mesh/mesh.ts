import type { FastifyRequest } from 'fastify';

import type { Mesh } from '../authenticate.ts';
import type { CertificateFacts } from '../certificate.ts';
import { Unauthenticated } from '../errors.ts';
import type { PeerName } from '../names.ts';
import { createForwardedCertificate } from './forwarded-certificate.ts';
import { parseForwarded } from './xfcc.ts';

const HEADER = 'x-forwarded-client-cert';

export interface MeshOptions {
  /** SPIFFE IDs. None: nobody forwards. */
  readonly proxies: readonly string[];
  /** Throws Unauthenticated for a certificate that does not count now. */
  readonly judge: (certificate: CertificateFacts) => void;
  /** True where a certificate counts only with a good status: what is not shown cannot be looked up. */
  readonly certificateNeeded: boolean;
}

/** Believes a proxy about the one client that it was shown a certificate by itself, and about nobody further away. */
export function createMesh({ proxies, judge, certificateNeeded }: MeshOptions): Mesh {
  const known = new Set(proxies);
  const certificateOf = createForwardedCertificate();

  function proxyOf({ uris: [uri, ...more] }: PeerName): string | undefined {
    return uri !== undefined && more.length === 0 && known.has(uri) ? uri : undefined;
  }

  return {
    isProxy: (peer) => proxyOf(peer) !== undefined,
    callerOf: (peer, request) => {
      const element = parseForwarded(headerOf(request));
      // Another `By` was written by another proxy and passed on; a proxy as client means that there was one before it.
      const ownElement = element.by === proxyOf(peer) && !known.has(element.uri);
      if (!ownElement) throw new Unauthenticated('FORWARDED_BY_ANOTHER');
      const certificate = certificateOf(element);
      if (certificate !== undefined) judge(certificate);
      else if (certificateNeeded) throw new Unauthenticated('CERTIFICATE_STATUS_UNKNOWN');
      const { certificate: shown } = certificate ?? {};
      return { uris: [element.uri], commonName: undefined, fingerprint: element.hash, certificate: shown };
    },
  };
}

/** The header of exactly one line. Node joins two, and a quote that is open at the end of the first would swallow the seam. */
function headerOf({ headers, raw }: FastifyRequest): string {
  const header = headers[HEADER];
  if (header === undefined) throw new Unauthenticated('FORWARDED_MISSING');
  const lines = raw.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === HEADER);
  if (typeof header !== 'string' || lines.length !== 1) throw new Unauthenticated('FORWARDED_AMBIGUOUS');
  return header;
}
