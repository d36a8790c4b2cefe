import type { Match } from './match.ts';

/** RFC 7468, OpenSSH, PGP ("KEY BLOCK") and SSH2 (four dashes and a space). */
const HEADER = /-{4,5} ?BEGIN ((?:[A-Z0-9]{1,16} ){0,4})PRIVATE KEY(?: BLOCK)? ?-{4,5}/g;
/** RFC 1421 (`DEK-Info: …`) and PGP (`Version: …`), with a real or an escaped line end. */
const ENCAPSULATED = /[A-Za-z-]{1,32}: [^\r\n\\]{0,200}(?:[\r\n]|\\{1,4}[rn])/y;
const MAX_ENCAPSULATED = 8;
/** A line end, real or escaped in JSON (also JSON in JSON), and what strings and comments put around a line. */
const BETWEEN = /(?:[\s"'`,>|*#]|\\{1,4}(?:[nrt"']|u000[adAD])|\\{1,4}(?=\s)){1,256}/y;
const BASE64 = /[A-Za-z0-9+/=]{1,256}/y;
/** Enough to tell keys apart; RSA of 16,384 bits has 12,600. A limit keeps the fingerprint the same in every window. */
const MAX_BODY = 16 * 1024;
/** DER begins with SEQUENCE (base64 `M`), OpenSSH with its name. One run of that is a key, whole or cut. */
const KEY_START = /^(?:M|b3Blbn)/;
const MIN_RUN = 16;
/** Other bodies (PGP, keys enciphered under DEK-Info) begin with anything. */
const MIN_RUN_UNKNOWN = 32;

/** base64 of `-----BEGIN`: a PEM file inside a Kubernetes Secret, a kubeconfig or a CI variable. */
const WRAPPED = /LS0tLS1CRUdJTi[A-Za-z0-9+/]{40,24000}/g;

/** Private keys as PEM: a header alone, as programs that read keys hold it, is none. */
export function* findPemKeys(text: string): Generator<Match> {
  for (const found of text.matchAll(HEADER)) {
    const body = bodyAt(text, found.index + found[0].length);
    if (body === undefined) continue;
    const encrypted = found[1]?.startsWith('ENCRYPTED') === true || body.encrypted;
    const kind = encrypted ? 'pem-private-key-encrypted' : 'pem-private-key';
    yield { kind, start: found.index, end: body.end, secret: body.base64 };
  }
}

/** The same within base64. */
export function* findWrappedPemKeys(text: string): Generator<Match> {
  for (const { 0: base64, index } of text.matchAll(WRAPPED)) {
    const [inner] = findPemKeys(Buffer.from(base64, 'base64').toString('latin1'));
    if (inner !== undefined) yield { ...inner, start: index, end: index + base64.length };
  }
}

function bodyAt(text: string, from: number): { base64: string; end: number; encrypted: boolean } | undefined {
  let at = skip(BETWEEN, text, from);
  let encrypted = false;
  for (let count = 0; count < MAX_ENCAPSULATED; count += 1) {
    const next = skip(ENCAPSULATED, text, at);
    if (next === at) break;
    encrypted ||= /ENCRYPTED|DEK-Info/.test(text.slice(at, next));
    at = skip(BETWEEN, text, next);
  }
  let base64 = '';
  let firstRun: number | undefined;
  while (base64.length < MAX_BODY) {
    const runEnd = skip(BASE64, text, at);
    // The `//` of a comment and the `+` of a concatenation are not the beginning of a key.
    if (runEnd - at > 2) base64 += text.slice(at, runEnd);
    if (firstRun === undefined && runEnd - at > 2) firstRun = runEnd - at;
    const next = skip(BETWEEN, text, runEnd);
    if (next === at) break;
    at = next;
  }
  const enough = KEY_START.test(base64) ? MIN_RUN : MIN_RUN_UNKNOWN;
  if ((firstRun ?? 0) < enough) return undefined;
  return { base64: base64.slice(0, MAX_BODY), end: at, encrypted };
}

/** Where the repeated sticky pattern ends. */
function skip(pattern: RegExp, text: string, from: number): number {
  let at = from;
  pattern.lastIndex = at;
  while (pattern.test(text)) {
    at = pattern.lastIndex;
    // One header at a time: what comes after it decides.
    if (pattern === ENCAPSULATED) break;
  }
  return at;
}
