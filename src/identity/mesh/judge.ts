import type { Clock } from '../../clock.ts';
import { type CertificateFacts, requireClientCertificate } from '../certificate.ts';
import { Unauthenticated } from '../errors.ts';
import type { CertificateChain, IsRevoked } from '../mtls.ts';
import { claimedBy } from '../names.ts';
import type { TrustBundle } from '../trust-bundle.ts';
import type { MeshOptions } from './mesh.ts';

export interface JudgeOptions {
  /** The authorities in force now. */
  readonly trustBundle: () => Pick<TrustBundle, 'chainOf'>;
  readonly isRevoked: IsRevoked;
  readonly clock: Clock;
}

interface Found {
  readonly chain: CertificateChain;
  /** By which bundle; another one has to be asked anew. */
  readonly by: unknown;
  /** Epoch ms: until the first certificate of the chain ends. */
  readonly until: number;
}

/**
 * As strict with a certificate that a proxy was shown as with one that is shown here, but for its authority: the proxy saw the
 * handshake, and may serve clients of one that has no business with this service.
 */
export function createJudge({ trustBundle, isRevoked, clock }: JudgeOptions): MeshOptions['judge'] {
  // Signatures are what costs time, and the same certificate comes with every request of its client.
  const found = new WeakMap<CertificateFacts, Found>();

  function chainOf(facts: CertificateFacts, now: number): CertificateChain {
    const bundle = trustBundle();
    const known = found.get(facts);
    if (known !== undefined && known.by === bundle && now <= known.until) return known.chain;
    const chain = bundle.chainOf(facts.certificate, now);
    if (chain === undefined) return [];
    const until = Math.min(...chain.map(({ validToDate }) => validToDate.getTime()));
    found.set(facts, { chain, by: bundle, until });
    return chain;
  }

  return (facts) => {
    const now = clock();
    requireClientCertificate(facts, now);
    if (isRevoked(facts, chainOf(facts, now))) throw new Unauthenticated('CERTIFICATE_REVOKED', claimedBy(facts));
  };
}
