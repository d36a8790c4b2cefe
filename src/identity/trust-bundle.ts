import { X509Certificate } from 'node:crypto';

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
const PEM_EDGE = /-----(?:BEGIN|END)[^\n]*/g;
/** Certificates in one chain, the first and the last included; OpenSSL would follow more, an honest one has three. */
const MAX_CHAIN = 8;

/** The authorities that client certificates must come from, as one file has them. */
export interface TrustBundle {
  /** Every certificate of the file. */
  readonly pem: string;
  readonly authorities: readonly X509Certificate[];
  /**
   * From the certificate to a self-signed authority of this bundle, over intermediates of the bundle alone: Node does not tell
   * a server which ones a client has sent. Undefined when none vouches for it at `now` (epoch ms). What OpenSSL does at a
   * handshake, for connections whose handshake is over: a bundle that replaces another counts for them too.
   */
  chainOf(leaf: X509Certificate, now: number): readonly X509Certificate[] | undefined;
  /** True when every authority of the other is one of this bundle's: whom the other vouches for, this one does too. */
  includes(other: TrustBundle): boolean;
  /** Epoch ms: when the next authority ends that has not ended by `now`; past once all have. */
  endsAfter(now: number): number;
}

/** The bundle cannot be used; `problems` has every reason. */
export class TrustBundleInvalid extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.name = 'TrustBundleInvalid';
    this.problems = problems;
  }
}

/** Reads a bundle of PEM certificates; throws TrustBundleInvalid for one that would trust less, or more, than its author meant. */
export function parseTrustBundle(text: string): TrustBundle {
  const blocks = text.match(PEM_BLOCK) ?? [];
  // Half a file has fewer certificates than were meant, and those that are missing would lose their connections.
  if (blocks.length === 0 || blocks.length * 2 !== (text.match(PEM_EDGE) ?? []).length)
    throw new TrustBundleInvalid(['not PEM certificates from beginning to end']);
  const problems: string[] = [];
  const authorities = blocks.flatMap((pem, index) => {
    const found = readCertificate(pem);
    if (found?.ca === true) return [found];
    problems.push(`certificate ${index + 1} ${found === undefined ? 'cannot be read' : 'is not that of an authority'}`);
    return [];
  });
  if (problems.length === 0 && !authorities.some(isSelfSigned)) problems.push('no authority in it is self-signed');
  if (problems.length > 0) throw new TrustBundleInvalid(problems);
  return bundleOf(text, authorities);
}

function bundleOf(pem: string, authorities: readonly X509Certificate[]): TrustBundle {
  const all = new Set(authorities.map(({ fingerprint256 }) => fingerprint256));
  const anchors = new Set(authorities.filter(isSelfSigned).map(({ fingerprint256 }) => fingerprint256));

  function chainFrom(
    chain: readonly X509Certificate[],
    issuers: readonly X509Certificate[],
    now: number,
  ): readonly X509Certificate[] | undefined {
    const last = chain.at(-1);
    if (last === undefined || !isInForce(last, now)) return undefined;
    if (anchors.has(last.fingerprint256)) return chain;
    if (chain.length === MAX_CHAIN) return undefined;
    for (const issuer of issuers) {
      if (chain.includes(issuer) || !hasIssued(issuer, last)) continue;
      const found = chainFrom([...chain, issuer], issuers, now);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  return {
    pem,
    authorities,
    chainOf: (leaf, now) => chainFrom([leaf], authorities, now),
    includes: (other) => other.authorities.every(({ fingerprint256 }) => all.has(fingerprint256)),
    endsAfter: (now) => {
      const ends = authorities.map(({ validToDate }) => validToDate.getTime());
      const coming = ends.filter((end) => end > now);
      return coming.length > 0 ? Math.min(...coming) : Math.max(...ends);
    },
  };
}

function hasIssued(issuer: X509Certificate, subject: X509Certificate): boolean {
  // Names, key identifiers and the issuer's right to sign certificates first: a signature is what costs time.
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return hasIssued(certificate, certificate);
}

export function isInForce({ validFromDate, validToDate }: X509Certificate, now: number): boolean {
  return validFromDate.getTime() <= now && now <= validToDate.getTime();
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    // Said with its place in the file.
    return undefined;
  }
}
