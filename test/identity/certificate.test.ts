import { X509Certificate } from 'node:crypto';
import forge from 'node-forge';
import t from 'tap';
import { newKey } from '../../src/certs/authority.ts';
import { type CertificateFacts, certificateFacts, requireClientCertificate } from '../../src/identity/certificate.ts';
import { Unauthenticated } from '../../src/identity/errors.ts';
import { inForce, testAuthority } from '../certs/material.ts';

const { authority, key, client } = await testAuthority();

/** A certificate with any extensions, past what our own maker would sign. */
function odd(extensions: object[], pem = key): X509Certificate {
  const privateKey = forge.pki.privateKeyFromPem(pem);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(privateKey.n, privateKey.e);
  certificate.serialNumber = '4abc';
  certificate.validity.notBefore = inForce.notBefore;
  certificate.validity.notAfter = inForce.notAfter;
  certificate.setSubject([
    { name: 'commonName', value: 'a' },
    { name: 'commonName', value: 'b' },
  ]);
  certificate.setIssuer(forge.pki.certificateFromPem(authority.cert).subject.attributes);
  certificate.setExtensions(extensions);
  certificate.sign(forge.pki.privateKeyFromPem(authority.key), forge.md.sha256.create());
  return new X509Certificate(forge.pki.certificateToPem(certificate));
}

const clientAuth = { name: 'extKeyUsage', clientAuth: true };
const now = Date.now();

function reasonOf(facts: CertificateFacts, at: number): string | undefined {
  try {
    requireClientCertificate(facts, at);
    return undefined;
  } catch (error) {
    return error instanceof Unauthenticated ? error.reason : 'another error';
  }
}

t.test('facts of a good certificate', async (t) => {
  const pair = await client('spiffe://castellan.dev/human/a');
  const facts = certificateFacts(new X509Certificate(pair.cert));
  t.same(facts.uris, ['spiffe://castellan.dev/human/a']);
  t.equal(facts.commonName, 'client');
  t.equal(facts.notAfter, Math.floor(inForce.notAfter.getTime() / 1000) * 1000);
  t.doesNotThrow(() => requireClientCertificate(facts, now));
});

t.test('what the handshake lets through is refused here', async (t) => {
  const good = certificateFacts(odd([clientAuth]));
  t.doesNotThrow(() => requireClientCertificate(good, now));
  t.equal(good.commonName, undefined, 'two common names are none');

  const basic = { name: 'basicConstraints', cA: true, critical: true };
  const cases: [string, CertificateFacts, number][] = [
    ['CERTIFICATE_IS_CA', certificateFacts(odd([basic, clientAuth])), now],
    ['CERTIFICATE_NOT_FOR_CLIENTS', certificateFacts(odd([])), now],
    ['CERTIFICATE_NOT_FOR_CLIENTS', certificateFacts(odd([{ name: 'extKeyUsage', serverAuth: true }])), now],
    ['KEY_TOO_WEAK', certificateFacts(odd([clientAuth], await newKey(1024))), now],
    ['CERTIFICATE_EXPIRED', good, good.notAfter + 1],
    ['CERTIFICATE_NOT_YET_VALID', good, good.notBefore - 1],
  ];
  for (const [reason, facts, at] of cases) t.equal(reasonOf(facts, at), reason);
  t.doesNotThrow(() => requireClientCertificate(good, good.notAfter), 'valid to its last moment');
});

t.test('names with commas and quotes stay one name', async (t) => {
  const san = (...values: string[]) =>
    certificateFacts(odd([{ name: 'subjectAltName', altNames: values.map((value) => ({ type: 6, value })) }])).uris;
  t.equal(san('spiffe://a/b, URI:spiffe://a/c').length, 1);
  t.equal(san('spiffe://a/b","x').length, 1);
  t.equal(san('spiffe://a/b, DNS:x', 'spiffe://a/c').length, 2);
});
