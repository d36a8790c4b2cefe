import { RevocationInvalid } from './errors.ts';

/** Tags of DER (X.690 §8), one octet each. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  utcTime: 0x17,
  generalizedTime: 0x18,
  context0: 0xa0,
} as const;

/** One value of DER, as the bytes that it is and those that it holds. */
export interface Tlv {
  readonly tag: number;
  readonly bytes: Uint8Array;
  readonly content: Uint8Array;
}

/**
 * The values within the content of another one, in order, none of them copied. A general reader of ASN.1 takes a second for
 * the list of an authority with ten thousand entries, in which nothing else could be answered.
 */
export function* valuesIn(content: Uint8Array): Generator<Tlv> {
  for (let start = 0; start < content.length; ) {
    const tag = content[start] ?? 0;
    const first = content[start + 1];
    if (first === undefined || (tag & 0x1f) === 0x1f) throw new RevocationInvalid('it is not DER');
    const octets = first < 0x80 ? 0 : first - 0x80;
    const begin = start + 2 + octets;
    const end = begin + (octets === 0 ? first : longLength(content.subarray(start + 2, begin), octets));
    if (end > content.length) throw new RevocationInvalid('it is not whole');
    yield { tag, bytes: content.subarray(start, end), content: content.subarray(begin, end) };
    start = end;
  }
}

/** The one value that these bytes are. */
export function onlyValue(bytes: Uint8Array, tag: number): Tlv {
  const [value, ...more] = valuesIn(bytes);
  if (value === undefined || more.length > 0 || value.tag !== tag) throw new RevocationInvalid('it is not DER');
  return value;
}

/** No indefinite lengths, and none longer than it has to be: each value has one spelling. */
function longLength(octets: Uint8Array, count: number): number {
  if (count < 1 || count > 4 || octets.length !== count) throw new RevocationInvalid('it is not DER');
  const length = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  if (length < 0x80 || octets[0] === 0) throw new RevocationInvalid('it is not DER');
  return length;
}
