import type { X509Certificate } from 'node:crypto';
import { Certificate } from 'pkijs';

import { sha256Hex } from '../../crypto/digest.ts';
import { hexOf, readDer, reading } from './der.ts';

const KEY_USAGE = '2.5.29.15';
/** Bit of KeyUsage (RFC 5280 §4.2.1.3) in its first octet, which comes after tag, length and the count of unused bits. */
const CRL_SIGN = 0x02;
const FIRST_OCTET = 3;

/** What node:crypto does not say of an authority's certificate. */
export interface AuthorityFacts {
  /** Hex of the DER of its name: two names are one only when every byte is. */
  readonly name: string;
  /** Its name with its key: certificates that share both share their lists. */
  readonly id: string;
  /** False when its certificate says what its key is for, and lists are not among that. */
  readonly signsLists: boolean;
}

const known = new WeakMap<X509Certificate, AuthorityFacts>();

/** Throws RevocationInvalid for a certificate that cannot be read. */
export function authorityFacts(certificate: X509Certificate): AuthorityFacts {
  const facts = known.get(certificate) ?? reading('the certificate of an authority', () => readFacts(certificate));
  known.set(certificate, facts);
  return facts;
}

function readFacts({ raw, publicKey }: X509Certificate): AuthorityFacts {
  const { subject, extensions = [] } = new Certificate({ schema: readDer(raw, 'the certificate') });
  const usage = extensions.find(({ extnID }) => extnID === KEY_USAGE)?.extnValue.valueBlock.valueHexView;
  const name = hexOf(subject.valueBeforeDecode);
  return {
    name,
    id: `${name}:${sha256Hex(publicKey.export({ type: 'spki', format: 'der' }))}`,
    signsLists: usage === undefined || ((usage[FIRST_OCTET] ?? 0) & CRL_SIGN) !== 0,
  };
}
