import { randomBytes, type X509Certificate } from 'node:crypto';

import type { Clock } from '../../../clock.ts';
import { exchange } from '../../../http/outgoing.ts';
import { RevocationInvalid } from '../errors.ts';
import { askAbout } from './request.ts';
import { type OcspAnswer, readResponse } from './response.ts';

const NONCE_BYTES = 16;
const OK = 200;
const HTTP_URL = /^OCSP - URI:(https?:\/\/[^\s"\\]{1,2000})$/i;

/** An answer as it came, and what it says. */
export interface Answered extends OcspAnswer {
  readonly der: Uint8Array;
}

/** Asks the responder of a certificate. Rejects with RevocationInvalid or OutgoingError where that says nothing that counts. */
export type Ask = (certificate: X509Certificate, issuer: X509Certificate, limitMs: number) => Promise<Answered>;

export interface AskOptions {
  /** To ask instead of the responder that certificates name. */
  readonly url?: string | undefined;
  /** False where the answer is for others, whose request it was not. */
  readonly withNonce: boolean;
  readonly clock: Clock;
}

export function createAsk({ url, withNonce, clock }: AskOptions): Ask {
  return async (certificate, issuer, limitMs) => {
    const responder = url ?? responderOf(certificate);
    if (responder === undefined) throw new RevocationInvalid('the certificate names no responder');
    const question = askAbout(certificate, issuer, withNonce ? randomBytes(NONCE_BYTES) : undefined);
    const headers = { 'content-type': 'application/ocsp-request', accept: 'application/ocsp-response' };
    const request = { method: 'POST' as const, headers, body: question.der };
    const reply = await exchange(responder, request, AbortSignal.timeout(limitMs));
    if (reply.status !== OK) throw new RevocationInvalid(`the responder answers with HTTP status ${reply.status}`);
    return { ...readResponse(reply.body, { question, issuer, now: clock() }), der: reply.body };
  };
}

/** The first one that is named (RFC 5280 §4.2.2.1), where it can be asked over HTTP. */
export function responderOf({ infoAccess }: X509Certificate): string | undefined {
  for (const line of infoAccess?.split('\n') ?? []) {
    // Node quotes a name with a character that could pass for the end of it: such a name is none.
    const [, found] = HTTP_URL.exec(line) ?? [];
    if (found !== undefined && URL.canParse(found)) return found;
  }
  return undefined;
}
