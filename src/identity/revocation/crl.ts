import { AlgorithmIdentifier, Extensions, Time } from 'pkijs';

import { normalSerial } from '../serials.ts';
import { numberIn, requireUnderstoodEntry } from './crl-extensions.ts';
import { hexOf, readDer, reading } from './der.ts';
import { RevocationInvalid } from './errors.ts';
import type { Signed } from './signature.ts';
import { onlyValue, TAG, type Tlv, valuesIn } from './tlv.ts';

/** What a revocation list says (RFC 5280 §5), not yet compared with anything. */
export interface RevocationList {
  /** Hex of the DER of its issuer's name. */
  readonly issuer: string;
  /** It has one unless its issuer is older than RFC 3280. */
  readonly number: bigint | undefined;
  /** Epoch ms. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Serial numbers, as `normalSerial` spells them. */
  readonly revoked: ReadonlySet<string>;
  readonly signed: Signed;
}

const PEM = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----/g;

/** The lists in a file, PEM or DER; throws RevocationInvalid, also for a file of which a part can be read. */
export function readRevocationLists(file: Buffer): RevocationList[] {
  // DER begins with the tag of a sequence, which is a character of no PEM file that anybody writes.
  if (file[0] === TAG.sequence) return [parse(file)];
  const text = file.toString('latin1');
  const lists = [...text.matchAll(PEM)].map(([, base64 = '']) => parse(Buffer.from(base64, 'base64')));
  // A list whose end has not been written yet, or something else that somebody meant to count.
  if (lists.length === 0 || text.split('-----BEGIN').length - 1 !== lists.length) {
    throw new RevocationInvalid('the file has something else than whole revocation lists');
  }
  return lists;
}

function parse(der: Uint8Array): RevocationList {
  return reading('the revocation list', () => {
    const [body, algorithm, signature, ...more] = valuesIn(onlyValue(der, TAG.sequence).content);
    if (body === undefined || more.length > 0) throw new RevocationInvalid('it is no revocation list');
    const fields = fieldsOf(body);
    // §5.1.1.2: the algorithm stands twice, and only one of the two is signed.
    if (!Buffer.from(required(algorithm, TAG.sequence).bytes).equals(fields.algorithm.bytes)) {
      throw new RevocationInvalid('the revocation list names two signature algorithms');
    }
    const { algorithmId } = new AlgorithmIdentifier({ schema: readDer(fields.algorithm.bytes, 'the algorithm') });
    const [unusedBits, ...octets] = required(signature, TAG.bitString).content;
    if (unusedBits !== 0) throw new RevocationInvalid('the revocation list has no signature that can be read');
    const signed = { bytes: body.bytes, algorithm: algorithmId, signature: Uint8Array.from(octets) };
    return { ...valuesOf(fields), signed };
  });
}

interface Fields {
  readonly algorithm: Tlv;
  readonly issuer: Tlv;
  readonly thisUpdate: Tlv;
  readonly nextUpdate: Tlv;
  readonly revoked: Tlv | undefined;
  readonly extensions: Tlv | undefined;
}

/** TBSCertList: its optional members are told apart by their tags. */
function fieldsOf(body: Tlv): Fields {
  const values = [...valuesIn(required(body, TAG.sequence).content)];
  if (values[0]?.tag === TAG.integer) values.shift();
  const [algorithm, issuer, thisUpdate, nextUpdate, ...rest] = values;
  if (nextUpdate?.tag !== TAG.utcTime && nextUpdate?.tag !== TAG.generalizedTime) {
    throw new RevocationInvalid('the revocation list does not say when the next one comes');
  }
  const revoked = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined;
  const extensions = rest[0]?.tag === TAG.context0 ? rest.shift() : undefined;
  if (thisUpdate === undefined || rest.length > 0) throw new RevocationInvalid('it is no revocation list');
  return {
    algorithm: required(algorithm, TAG.sequence),
    issuer: required(issuer, TAG.sequence),
    thisUpdate,
    nextUpdate,
    revoked,
    extensions,
  };
}

function valuesOf(fields: Fields): Omit<RevocationList, 'signed'> {
  const { extensions } = fields;
  const listed = extensions && new Extensions({ schema: readDer(extensions.content, 'the extensions') });
  return {
    issuer: hexOf(fields.issuer.bytes),
    number: numberIn(listed?.extensions ?? []),
    thisUpdate: timeOf(fields.thisUpdate),
    nextUpdate: timeOf(fields.nextUpdate),
    revoked: new Set(fields.revoked === undefined ? [] : serialsIn(fields.revoked)),
  };
}

function* serialsIn(revoked: Tlv): Generator<string> {
  for (const entry of valuesIn(revoked.content)) {
    const [serial, , extensions] = valuesIn(required(entry, TAG.sequence).content);
    if (extensions !== undefined) requireUnderstoodEntry(required(extensions, TAG.sequence));
    yield normalSerial(hexOf(required(serial, TAG.integer).content));
  }
}

function required(value: Tlv | undefined, tag: number): Tlv {
  if (value?.tag === tag) return value;
  throw new RevocationInvalid('it is no revocation list');
}

function timeOf({ bytes }: Tlv): number {
  const time = new Time({ schema: readDer(bytes, 'a time') }).value.getTime();
  if (Number.isNaN(time)) throw new RevocationInvalid('the revocation list has a time that cannot be read');
  return time;
}
