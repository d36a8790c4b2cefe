import type { KeyObject, X509Certificate } from 'node:crypto';
import { Unauthenticated } from './errors.ts';
import { normalSerial } from './serials.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const MIN_RSA_BITS = 2048;
/** NIST names as OpenSSL spells them. */
const CURVES = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/** What of a certificate matters here; read once per connection, judged again on every request. */
export interface CertificateFacts {
  /** As it is. */
  readonly certificate: X509Certificate;
  /** Upper-case hex SHA-256 of its DER form. */
  readonly fingerprint256: string;
  /** As `normalSerial` spells it. */
  readonly serial: string;
  readonly issuer: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isCa: boolean;
  /** Extended key usage OIDs; empty when the extension is absent. */
  readonly extendedKeyUsage: readonly string[];
  readonly keyIsStrong: boolean;
  readonly uris: readonly string[];
  /** The common name when the subject has exactly one. */
  readonly commonName: string | undefined;
}

/** Reads the facts; throws Unauthenticated when the certificate cannot be read without doubt. */
export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  return {
    certificate,
    fingerprint256: certificate.fingerprint256.replaceAll(':', ''),
    serial: normalSerial(certificate.serialNumber),
    issuer: certificate.issuer,
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
    isCa: certificate.ca,
    extendedKeyUsage: certificate.keyUsage ?? [],
    keyIsStrong: isStrong(certificate.publicKey),
    uris: uriNames(certificate.subjectAltName ?? ''),
    commonName: commonName(certificate.subject),
  };
}

/** Throws Unauthenticated unless the certificate is a client's, of sufficient strength, and valid at `now` (epoch ms). */
export function requireClientCertificate(facts: CertificateFacts, now: number): void {
  if (now < facts.notBefore) throw new Unauthenticated('CERTIFICATE_NOT_YET_VALID');
  if (now > facts.notAfter) throw new Unauthenticated('CERTIFICATE_EXPIRED');
  if (facts.isCa) throw new Unauthenticated('CERTIFICATE_IS_CA');
  if (!facts.extendedKeyUsage.includes(CLIENT_AUTH)) throw new Unauthenticated('CERTIFICATE_NOT_FOR_CLIENTS');
  if (!facts.keyIsStrong) throw new Unauthenticated('KEY_TOO_WEAK');
}

function isStrong(key: KeyObject): boolean {
  const details = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ed25519') return true;
  if (key.asymmetricKeyType === 'rsa') return (details.modulusLength ?? 0) >= MIN_RSA_BITS;
  return key.asymmetricKeyType === 'ec' && CURVES.has(details.namedCurve ?? '');
}

// Node quotes a name that holds a comma or a quote (CVE-2021-44532), so that one name cannot pass for two.
const NAME = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;

function uriNames(subjectAltName: string): string[] {
  const uris: string[] = [];
  const name = new RegExp(NAME);
  while (name.lastIndex < subjectAltName.length) {
    const match = name.exec(subjectAltName);
    if (match === null) throw new Unauthenticated('CERTIFICATE_MALFORMED');
    if (match[1] === 'URI') uris.push(match[2] ?? '');
  }
  return uris;
}

// One attribute a line; OpenSSL escapes a line feed inside a value, so a line is an attribute.
function commonName(subject: string | undefined): string | undefined {
  const names = (subject ?? '').split('\n').filter((line) => line.startsWith('CN='));
  return names.length === 1 ? names[0]?.slice(3) : undefined;
}
