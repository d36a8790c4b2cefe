import { parseStrictJson, StrictJsonError } from '../../http/strict-json.ts';
import { Unauthenticated } from '../errors.ts';

/** Characters; the whole header section has 16 KiB. */
const MAX_LENGTH = 8192;
// RFC 9110 §11.1: the scheme has no case. RFC 7515 §7.1: three parts of base64url, nothing around or between them.
const BEARER = /^bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i;
const MAX_KID_LENGTH = 256;
/** Headers that bring a key along, say where one is, or change what the rest means. */
const REFUSED_HEADERS = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc'];

/** The token in the value of an Authorization header; throws Unauthenticated. Says nothing about what is in it. */
export function bearerToken(header: string): string {
  const token = header.length > MAX_LENGTH ? undefined : BEARER.exec(header)?.[1];
  if (token === undefined) throw new Unauthenticated('TOKEN_MALFORMED');
  return token;
}

/** What an unverified token says about how to verify it. */
export interface TokenFacts {
  readonly alg: string;
  readonly kid: string;
  /** The empty text when there is none. */
  readonly typ: string;
  readonly issuer: string;
  readonly audiences: readonly string[];
}

/**
 * Reads a token, of which each has one spelling: base64url without slack bits, JSON without doubled members.
 * Throws Unauthenticated.
 */
export function readToken(token: string): TokenFacts {
  const [header = '', payload = '', signature = ''] = token.split('.');
  requireCanonical(signature);
  const { alg, kid, typ = '', ...more } = jsonOf(header);
  if (REFUSED_HEADERS.some((name) => Object.hasOwn(more, name))) throw malformed();
  if (typeof alg !== 'string' || typeof typ !== 'string') throw malformed();
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID_LENGTH) throw malformed();
  const { iss, aud } = jsonOf(payload);
  if (typeof iss !== 'string') throw malformed();
  return { alg, kid, typ, issuer: iss, audiences: [aud].flat().filter((one) => typeof one === 'string') };
}

function jsonOf(part: string): Readonly<Record<string, unknown>> {
  const value = parse(requireCanonical(part));
  if (!isRecord(value)) throw malformed();
  return value;
}

function parse(bytes: Buffer): unknown {
  try {
    // Numbers that a double does not hold are no business of ours, as long as they are in claims that nobody reads.
    return parseStrictJson(bytes, { unsafeNumber: () => undefined });
  } catch (error) {
    if (error instanceof StrictJsonError) throw malformed();
    throw error;
  }
}

function requireCanonical(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) throw malformed();
  return bytes;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(): Unauthenticated {
  return new Unauthenticated('TOKEN_MALFORMED');
}
