import { X509Certificate } from 'node:crypto';

import { type CertificateFacts, certificateFacts } from '../certificate.ts';
import { Unauthenticated } from '../errors.ts';
import type { ForwardedElement } from './xfcc.ts';

/** One certificate and nothing around it: with two, which one counts would depend on who reads. */
const ONE_CERTIFICATE = /^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?$/;
/** Certificates kept read; each costs about as much to read as the rest of a request's identity. */
const MAX_KEPT = 1_000;

/** The certificate in an element, when it holds one. Throws Unauthenticated unless it is the one that the element speaks of. */
export type ForwardedCertificate = (element: ForwardedElement) => CertificateFacts | undefined;

/** Reads each certificate once. */
export function createForwardedCertificate(): ForwardedCertificate {
  // By the text as sent, so that nothing that was not read itself is ever taken for something that was.
  const kept = new Map<string, CertificateFacts>();

  function factsOf(encoded: string): CertificateFacts {
    const known = kept.get(encoded);
    if (known !== undefined) return known;
    const facts = read(encoded);
    const [oldest] = kept.keys();
    if (kept.size >= MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    kept.set(encoded, facts);
    return facts;
  }

  return ({ cert, hash, uri }) => {
    if (cert === undefined) return undefined;
    const facts = factsOf(cert);
    const sameName = facts.uris.length === 1 && facts.uris[0] === uri;
    if (facts.fingerprint256 !== hash || !sameName) throw new Unauthenticated('FORWARDED_MALFORMED');
    return facts;
  };
}

function read(encoded: string): CertificateFacts {
  try {
    const pem = decodeURIComponent(encoded);
    if (!ONE_CERTIFICATE.test(pem)) throw new Unauthenticated('FORWARDED_MALFORMED');
    return certificateFacts(new X509Certificate(pem));
  } catch (error) {
    if (error instanceof Unauthenticated) throw error;
    throw new Unauthenticated('FORWARDED_MALFORMED');
  }
}
