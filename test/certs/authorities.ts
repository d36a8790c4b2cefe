import { randomBytes } from 'node:crypto';
import forge from 'node-forge';

import { type Issued, newKey, type Validity } from '../../src/certs/authority.ts';
import { inForce } from './material.ts';

export interface AuthorityRequest {
  readonly commonName: string;
  /** Absent: it signs itself. */
  readonly issuer?: Issued;
  readonly validity?: Validity;
  /** For a certificate that is only called one. */
  readonly isCa?: boolean;
  readonly key?: string;
}

/** An authority that may have others under it. */
export async function testCa(request: AuthorityRequest): Promise<Issued> {
  const { commonName, validity = inForce, isCa = true } = request;
  const key = request.key ?? (await newKey());
  const privateKey = forge.pki.privateKeyFromPem(key);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(privateKey.n, privateKey.e);
  certificate.serialNumber = `4${randomBytes(8).toString('hex')}`;
  certificate.validity.notBefore = validity.notBefore;
  certificate.validity.notAfter = validity.notAfter;
  certificate.setSubject([{ name: 'commonName', value: commonName }]);
  const issuer = request.issuer && forge.pki.certificateFromPem(request.issuer.cert);
  certificate.setIssuer((issuer ?? certificate).subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: isCa, critical: true },
    { name: 'keyUsage', keyCertSign: isCa, cRLSign: isCa, digitalSignature: !isCa, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(request.issuer?.key ?? key), forge.md.sha256.create());
  return { key, cert: forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n') };
}
