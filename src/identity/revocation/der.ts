import { type AsnType, fromBER } from 'asn1js';

import { RevocationInvalid } from './errors.ts';

/** The one value that these bytes are; throws RevocationInvalid for anything before, after or beside it. */
export function readDer(bytes: Uint8Array, what: string): AsnType {
  const { offset, result } = fromBER(bytes);
  if (offset === -1 || offset !== bytes.length) throw new RevocationInvalid(`${what} is not DER`);
  return result;
}

/** What `read` makes of the bytes; a library's own complaint becomes RevocationInvalid. */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof RevocationInvalid) throw cause;
    throw new RevocationInvalid(`${what} cannot be read`, cause);
  }
}

/** Hex of bytes, to compare and to find them by. */
export function hexOf(bytes: ArrayBuffer | Uint8Array): string {
  return Buffer.from(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)).toString('hex');
}
