import { generateKeyPair, type KeyObject, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';

const generate = promisify(generateKeyPair);
const RSA_BITS = 2048;
const DAY_MS = 86_400_000;
/** Certificates begin in the past, for clocks that are a little behind. */
const BACKDATE_MS = 3_600_000;

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface Issued {
  readonly key: string;
  readonly cert: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  /** URI, DNS and IP names of the subject alternative name; none gives no such extension. */
  readonly names: readonly SubjectName[];
  readonly usage: 'server' | 'client' | 'none';
  readonly validity: Validity;
}

export type SubjectName = { readonly uri: string } | { readonly dns: string } | { readonly ip: string };

/** From an hour before `now` to `days` after it. */
export function validFor(now: number, days: number): Validity {
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}

/** A new private key in PEM (PKCS #8). RSA, for forge cannot put an EC key into a certificate. */
export async function newKey(bits: number = RSA_BITS): Promise<string> {
  const { privateKey } = await generate('rsa', { modulusLength: bits });
  return pem(privateKey);
}

/** A self-signed authority for development. */
export async function makeAuthority(commonName: string, validity: Validity): Promise<Issued> {
  const key = await newKey();
  const certificate = blank(key, commonName, validity);
  certificate.setIssuer(certificate.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(key), forge.md.sha256.create());
  return { key, cert: toPem(certificate) };
}

/** A leaf certificate of `authority` over a new key. */
export async function issue(authority: Issued, request: CertificateRequest, key?: string): Promise<Issued> {
  const own = key ?? (await newKey());
  const issuer = forge.pki.certificateFromPem(authority.cert);
  const certificate = blank(own, request.commonName, request.validity);
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: request.usage === 'server', critical: true },
    ...(request.usage === 'none' ? [] : [{ name: 'extKeyUsage', [`${request.usage}Auth`]: true }]),
    ...(request.names.length === 0 ? [] : [{ name: 'subjectAltName', altNames: request.names.map(altName) }]),
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(authority.key), forge.md.sha256.create());
  return { key: own, cert: toPem(certificate) };
}

function blank(key: string, commonName: string, validity: Validity): forge.pki.Certificate {
  const privateKey = forge.pki.privateKeyFromPem(key);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(privateKey.n, privateKey.e);
  // RFC 5280 §4.1.2.2: positive and at most 20 octets.
  certificate.serialNumber = `4${randomBytes(16).toString('hex').slice(1)}`;
  certificate.validity.notBefore = validity.notBefore;
  certificate.validity.notAfter = validity.notAfter;
  certificate.setSubject([{ name: 'commonName', value: commonName }]);
  return certificate;
}

// GeneralName tags of RFC 5280 §4.2.1.6.
function altName(name: SubjectName): object {
  if ('uri' in name) return { type: 6, value: name.uri };
  return 'dns' in name ? { type: 2, value: name.dns } : { type: 7, ip: name.ip };
}

function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function toPem(certificate: forge.pki.Certificate): string {
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n');
}
