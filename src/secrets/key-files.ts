import type { Match } from './match.ts';

/** A DER length: definite in up to 4 bytes, or indefinite. */
const LENGTH = '(?:[\\x00-\\x80]|\\x81.|\\x82..|\\x83...|\\x84....)';
const VERSION_0 = '\\x02\\x01\\x00';

/** Binary key files, by how they begin (Latin-1, one character per byte). */
const KEY_FILES: readonly (readonly [kind: string, pattern: RegExp])[] = [
  // RFC 7292: version 3, then a ContentInfo of type data (1.2.840.113549.1.7.1) or signed data (…7.2).
  [
    'pkcs12-file',
    new RegExp(
      `^\\x30${LENGTH}\\x02\\x01\\x03\\x30${LENGTH}\\x06\\x09\\x2a\\x86\\x48\\x86\\xf7\\x0d\\x01\\x07[\\x01\\x02]`,
      's',
    ),
  ],
  // RFC 5958: version, then the algorithm, a SEQUENCE that begins with its OID.
  ['der-private-key', new RegExp(`^\\x30${LENGTH}\\x02\\x01[\\x00\\x01]\\x30${LENGTH}\\x06`, 's')],
  // RFC 5958, enciphered: the algorithm is one of PKCS#5 (1.2.840.113549.1.5.*).
  [
    'der-private-key-encrypted',
    new RegExp(`^\\x30${LENGTH}\\x30${LENGTH}\\x06\\x09\\x2a\\x86\\x48\\x86\\xf7\\x0d\\x01\\x05.`, 's'),
  ],
  // RFC 8017: version 0, then the modulus, an INTEGER of 64 bytes and more.
  ['der-private-key', new RegExp(`^\\x30${LENGTH}${VERSION_0}\\x02(?:[\\x40-\\x7f]|\\x81.|\\x82..)\\x00`, 's')],
  // RFC 5915: version 1, then the number in an OCTET STRING.
  ['der-private-key', new RegExp(`^\\x30${LENGTH}\\x02\\x01\\x01\\x04[\\x1c-\\x42]`, 's')],
];

/** What the whole file is, if it is a key; the fingerprint is that of the part of the file that is given. */
export function* findKeyFile(head: string): Generator<Match> {
  const found = KEY_FILES.find(([, pattern]) => pattern.test(head));
  if (found !== undefined) yield { kind: found[0], start: 0, end: head.length, secret: head };
}
