import { Unauthenticated } from '../errors.ts';

/** Characters; Envoy's element with a certificate and its chain needs about half. */
const MAX_LENGTH = 8_192;
/** Envoy writes nothing else: it escapes what is not ASCII (RFC 2253) and encodes PEM. */
const PRINTABLE = /^[\x20-\x7e]+$/;
const SHA256 = /^[0-9a-f]{64}$/i;
/** `DNS` alone may come again: one for each name of the certificate. */
const KEYS = new Set(['by', 'hash', 'cert', 'chain', 'subject', 'uri', 'dns']);

/**
 * One pair. Envoy quotes Subject, Cert and Chain only, so a bare value that holds a separator is an attack from inside a
 * certificate. Two backslashes are in no value: whether a quote behind them is escaped depends on who reads.
 */
const PAIR = /([A-Za-z]+)=(?:"((?:[^"\\]|\\[^\\])*)"|([^",;=\\ ]*))/y;

/** What a proxy says of the one certificate that it was shown. */
export interface ForwardedElement {
  /** The URI of the proxy's own certificate. */
  readonly by: string;
  /** Upper-case hex SHA-256 of the client's certificate. */
  readonly hash: string;
  readonly uri: string;
  /** PEM, percent-encoded. */
  readonly cert: string | undefined;
}

/**
 * Reads x-forwarded-client-cert as Envoy writes it, and nothing more generous: exactly one element, no blanks between pairs,
 * no key twice, no unknown key. Throws Unauthenticated; never guesses.
 */
export function parseForwarded(text: string): ForwardedElement {
  if (text.length > MAX_LENGTH || !PRINTABLE.test(text)) throw new Unauthenticated('FORWARDED_MALFORMED');
  const values = pairsOf(text);
  const by = values.get('by') ?? '';
  const hash = values.get('hash') ?? '';
  if (by === '' || !SHA256.test(hash)) throw new Unauthenticated('FORWARDED_MALFORMED');
  const uri = values.get('uri') ?? '';
  // An element may be well-formed and name nobody: the client's certificate has no URI, or the proxy does not pass it on.
  if (uri === '') throw new Unauthenticated('NO_IDENTITY');
  return { by, hash: hash.toUpperCase(), uri, cert: values.get('cert') };
}

function pairsOf(text: string): Map<string, string> {
  const values = new Map<string, string>();
  const pair = new RegExp(PAIR);
  for (;;) {
    const match = pair.exec(text);
    if (match === null) throw new Unauthenticated('FORWARDED_MALFORMED');
    const [, name = '', quoted, bare] = match;
    const key = name.toLowerCase();
    if (!KEYS.has(key) || (values.has(key) && key !== 'dns')) throw new Unauthenticated('FORWARDED_MALFORMED');
    values.set(key, quoted?.replaceAll('\\"', '"') ?? bare ?? '');
    const separator = text[pair.lastIndex];
    if (separator === undefined) return values;
    // A second element is what another proxy was told, or what a client sent to be believed.
    if (separator === ',') throw new Unauthenticated('FORWARDED_AMBIGUOUS');
    if (separator !== ';') throw new Unauthenticated('FORWARDED_MALFORMED');
    pair.lastIndex += 1;
  }
}
