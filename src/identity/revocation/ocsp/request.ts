import { createHash, type X509Certificate } from 'node:crypto';
import { Null, OctetString } from 'asn1js';
import { AlgorithmIdentifier, CertID, Certificate, Extension, OCSPRequest, Request, TBSRequest } from 'pkijs';

import { readDer, reading } from '../der.ts';

/** Only a name here, compared and never trusted; responders know no other (RFC 5019 §2.1.1). */
const SHA1 = '1.3.14.3.2.26';
const NONCE = '1.3.6.1.5.5.7.48.1.2';

/** What to ask a responder about one certificate. */
export interface Question {
  readonly id: CertID;
  /** Undefined: any answer that is in force will do. */
  readonly nonce: Uint8Array | undefined;
  readonly der: Uint8Array<ArrayBuffer>;
}

/** Throws RevocationInvalid for certificates that cannot be read. */
export function askAbout(certificate: X509Certificate, issuer: X509Certificate, nonce?: Uint8Array): Question {
  return reading('the certificate', () => {
    const id = certificateId(certificate, issuer);
    const tbsRequest = new TBSRequest({ requestList: [new Request({ reqCert: id })] });
    if (nonce !== undefined) tbsRequest.requestExtensions = [nonceExtension(nonce)];
    const der = new Uint8Array(new OCSPRequest({ tbsRequest }).toSchema(true).toBER());
    return { id, nonce, der };
  });
}

function certificateId(certificate: X509Certificate, issuer: X509Certificate): CertID {
  const { serialNumber } = read(certificate);
  const { subject, subjectPublicKeyInfo } = read(issuer);
  return new CertID({
    hashAlgorithm: new AlgorithmIdentifier({ algorithmId: SHA1, algorithmParams: new Null() }),
    issuerNameHash: hashed(new Uint8Array(subject.valueBeforeDecode)),
    issuerKeyHash: hashed(subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView),
    serialNumber,
  });
}

function hashed(bytes: Uint8Array): OctetString {
  return new OctetString({ valueHex: createHash('sha1').update(bytes).digest() });
}

function nonceExtension(nonce: Uint8Array): Extension {
  const inner = new OctetString({ valueHex: Uint8Array.from(nonce) });
  return new Extension({ extnID: NONCE, critical: false, extnValue: inner.toBER() });
}

function read({ raw }: X509Certificate): Certificate {
  return new Certificate({ schema: readDer(raw, 'the certificate') });
}
