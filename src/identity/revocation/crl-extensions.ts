import type { Extension } from 'pkijs';

import { hexOf } from './der.ts';
import { RevocationInvalid } from './errors.ts';
import { onlyValue, TAG, type Tlv, valuesIn } from './tlv.ts';

const CRL_NUMBER = '2.5.29.20';
const DELTA = '2.5.29.27';
/** Octets (RFC 5280 §5.2.3). */
const MAX_NUMBER = 20;

/** Of an entry, as hex of the OID's content: 2.5.29.21 and 2.5.29.24. */
const REASON = '551d15';
const INVALIDITY_DATE = '551d18';
/** CRLReason removeFromCRL, which only a delta may have. */
const REMOVED = 8;

/** The number of a list; throws RevocationInvalid for extensions that make it another kind of list. */
export function numberIn(extensions: readonly Extension[]): bigint | undefined {
  for (const { extnID, critical } of extensions) {
    if (extnID === DELTA) throw new RevocationInvalid('it is a delta, which says only what has changed');
    // An issuing distribution point among them: such a list does not cover all that its issuer has issued.
    if (critical && extnID !== CRL_NUMBER) {
      throw new RevocationInvalid(`the revocation list has the critical extension ${extnID}, which is not understood`);
    }
  }
  const found = extensions.find(({ extnID }) => extnID === CRL_NUMBER);
  if (found === undefined) return undefined;
  const { content } = onlyValue(found.extnValue.valueBlock.valueHexView, TAG.integer);
  if (content.length < 1 || content.length > MAX_NUMBER) {
    throw new RevocationInvalid('the revocation list has no number that can be read');
  }
  return BigInt(`0x${hexOf(content)}`);
}

/** Throws RevocationInvalid for an entry that is not simply about a certificate of the list's own issuer. */
export function requireUnderstoodEntry(extensions: Tlv): void {
  for (const extension of valuesIn(extensions.content)) {
    const [oid, ...rest] = valuesIn(extension.content);
    const id = oid?.tag === TAG.oid ? hexOf(oid.content) : '';
    const critical = rest[0]?.tag === TAG.boolean && rest[0].content[0] !== 0;
    if (id === REASON && rest.at(-1)?.content.at(-1) === REMOVED) {
      throw new RevocationInvalid('an entry takes another back, as only a delta may');
    }
    // The certificate issuer among them: the entry would be about another authority's certificate.
    if (critical && id !== REASON && id !== INVALIDITY_DATE) {
      throw new RevocationInvalid(`an entry has the critical extension ${id}, which is not understood`);
    }
  }
}
