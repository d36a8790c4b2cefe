import { X509Certificate } from 'node:crypto';
import { AlgorithmIdentifier, type CertID, OCSPResponse, ResponseData, type SingleResponse } from 'pkijs';

import { hexOf, readDer, reading } from '../der.ts';
import { RevocationInvalid } from '../errors.ts';
import { isSignedBy, type Signed } from '../signature.ts';
import { onlyValue, TAG, valuesIn } from '../tlv.ts';
import type { Question } from './request.ts';

const BASIC = '1.3.6.1.5.5.7.48.1.1';
const NONCE = '1.3.6.1.5.5.7.48.1.2';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const SUCCESSFUL = 0;
/** ms by which the clock of a responder may be ahead. */
const CLOCK_TOLERANCE = 300_000;
/** ms that an answer may be old, or counts, where it does not say itself. */
const UNSAID_AGE = 60_000;
/** Certificates that a response may bring. */
const MAX_CERTIFICATES = 5;

export interface OcspAnswer {
  readonly status: 'good' | 'revoked';
  /** Epoch ms. */
  readonly until: number;
}

export interface OcspContext {
  readonly question: Question;
  readonly issuer: X509Certificate;
  /** Epoch ms. */
  readonly now: number;
}

/**
 * What a response says about the certificate asked for. Throws RevocationInvalid unless it is about that one, in force, and
 * signed by its issuer or by who that has charged with it (RFC 6960 §3.2).
 */
export function readResponse(der: Uint8Array, context: OcspContext): OcspAnswer {
  return reading('the OCSP response', () => {
    const { signed, certificates } = basicIn(der);
    requireSigner(signed, certificates, context);
    const { responses, responseExtensions = [] } = new ResponseData({ schema: readDer(signed.bytes, 'the response') });
    const nonce = responseExtensions.find(({ extnID }) => extnID === NONCE)?.extnValue.valueBlock.valueHexView;
    requireNonce(nonce, context.question);
    if (responseExtensions.some(({ critical, extnID }) => critical && extnID !== NONCE)) {
      throw new RevocationInvalid('the OCSP response has a critical extension that is not understood');
    }
    const [about, ...more] = responses.filter(({ certID }) => isSame(certID, context.question.id));
    if (about === undefined || more.length > 0) {
      throw new RevocationInvalid('the OCSP response is not about the certificate');
    }
    return answerIn(about, context.now);
  });
}

function answerIn(single: SingleResponse, now: number): OcspAnswer {
  const { thisUpdate, nextUpdate, singleExtensions } = single;
  const from = thisUpdate.getTime();
  const until = nextUpdate?.getTime() ?? from + UNSAID_AGE;
  if (!(from <= now + CLOCK_TOLERANCE && now < until)) throw new RevocationInvalid('the OCSP response is not in force');
  if (singleExtensions?.some(({ critical }) => critical) === true) {
    throw new RevocationInvalid('the OCSP response has a critical extension that is not understood');
  }
  const status = statusOf(single.certStatus);
  if (status === undefined) throw new RevocationInvalid('the responder does not know the certificate');
  return { status, until };
}

/** CertStatus is a choice by tag: good [0], revoked [1], unknown [2]. */
function statusOf(choice: unknown): OcspAnswer['status'] | undefined {
  const block = typeof choice === 'object' && choice !== null && 'idBlock' in choice ? choice.idBlock : undefined;
  const tag = typeof block === 'object' && block !== null && 'tagNumber' in block ? block.tagNumber : undefined;
  if (tag === 0) return 'good';
  return tag === 1 ? 'revoked' : undefined;
}

function basicIn(der: Uint8Array): { signed: Signed; certificates: readonly X509Certificate[] } {
  const { responseStatus, responseBytes } = new OCSPResponse({ schema: readDer(der, 'the OCSP response') });
  const status = responseStatus.valueBlock.valueDec;
  if (status !== SUCCESSFUL) throw new RevocationInvalid(`the responder answers with status ${status}`);
  if (responseBytes?.responseType !== BASIC) throw new RevocationInvalid('the OCSP response is of no known type');
  const basic = onlyValue(responseBytes.response.valueBlock.valueHexView, TAG.sequence);
  const [body, algorithm, signature, attached, ...more] = valuesIn(basic.content);
  if (body?.tag !== TAG.sequence || algorithm?.tag !== TAG.sequence || signature?.tag !== TAG.bitString) {
    throw new RevocationInvalid('the OCSP response has no signature');
  }
  if (more.length > 0 || (attached !== undefined && attached.tag !== TAG.context0)) {
    throw new RevocationInvalid('the OCSP response is malformed');
  }
  const { algorithmId } = new AlgorithmIdentifier({ schema: readDer(algorithm.bytes, 'the algorithm') });
  const signed = { bytes: body.bytes, algorithm: algorithmId, signature: signature.content.subarray(1) };
  const list = attached === undefined ? [] : [...valuesIn(onlyValue(attached.content, TAG.sequence).content)];
  if (list.length > MAX_CERTIFICATES) throw new RevocationInvalid('the OCSP response brings too many certificates');
  return { signed, certificates: list.map(({ bytes }) => new X509Certificate(bytes)) };
}

function requireSigner(signed: Signed, attached: readonly X509Certificate[], { issuer, now }: OcspContext): void {
  if (isSignedBy(signed, issuer.publicKey)) return;
  const delegate = attached.find((certificate) => isSignedBy(signed, certificate.publicKey));
  if (delegate === undefined) throw new RevocationInvalid('the OCSP response is not signed by the issuer');
  if (!isCharged(delegate, issuer, now)) {
    throw new RevocationInvalid('who signed the OCSP response is not charged with it by the issuer');
  }
}

function isCharged(delegate: X509Certificate, issuer: X509Certificate, now: number): boolean {
  const inForce = delegate.validFromDate.getTime() <= now && now <= delegate.validToDate.getTime();
  const mayAnswer = delegate.keyUsage?.includes(OCSP_SIGNING) === true && !delegate.ca;
  return inForce && mayAnswer && delegate.checkIssued(issuer) && delegate.verify(issuer.publicKey);
}

/** A responder that answers from what it has prepared leaves it out; another one than ours is a replay. */
function requireNonce(answered: Uint8Array | undefined, { nonce }: Question): void {
  if (answered === undefined || nonce === undefined) return;
  if (!Buffer.from(onlyValue(answered, TAG.octetString).content).equals(nonce)) {
    throw new RevocationInvalid('the OCSP response answers another request');
  }
}

function isSame(one: CertID, other: CertID): boolean {
  const parts = ({ hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }: CertID) => [
    hashAlgorithm.algorithmId,
    hexOf(issuerNameHash.valueBlock.valueHexView),
    hexOf(issuerKeyHash.valueBlock.valueHexView),
    hexOf(serialNumber.valueBlock.valueHexView),
  ];
  return parts(one).join() === parts(other).join();
}
