import { type Cryptoki, call, type Handle, returnValue } from './cryptoki.ts';
import type { PublicAttributes } from './mechanisms.ts';
import { TokenFailure } from './messages.ts';

// Values of PKCS#11 2.40 (pkcs11t.h).
const CKO_PUBLIC_KEY = 0x02;
const CKO_PRIVATE_KEY = 0x03;
const CKA_CLASS = 0x00;
const CKA_LABEL = 0x03;
const CKA_KEY_TYPE = 0x100;
const CKA_ID = 0x102;
const CKA_SENSITIVE = 0x103;
const CKA_SIGN = 0x108;
const CKA_MODULUS = 0x120;
const CKA_PUBLIC_EXPONENT = 0x122;
const CKA_EXTRACTABLE = 0x162;
const CKA_EC_PARAMS = 0x180;
const CKA_EC_POINT = 0x181;
const CKA_ALWAYS_AUTHENTICATE = 0x202;
/** Objects that are counted, should there be more than the one. */
const MAX_FOUND = 64;
const ID = /^id:((?:[0-9a-f]{2})+)$/i;
/** A key without that attribute. */
const ABSENT: ReadonlySet<string> = new Set(['CKR_ATTRIBUTE_TYPE_INVALID', 'CKR_ATTRIBUTE_SENSITIVE']);

export interface KeyPair {
  readonly privateKey: Handle;
  readonly publicKey: Handle;
  readonly attributes: PublicAttributes;
}

type Wanted = { readonly type: number; readonly value: string | Buffer };

/** The one pair that `name` means: a label, or `id:` and hex. TokenFailure that says how many there are if it is not one. */
export function findKeyPair(cryptoki: Cryptoki, session: Handle, name: string): KeyPair {
  const id = ID.exec(name)?.[1];
  const wanted = id === undefined ? { type: CKA_LABEL, value: name } : { type: CKA_ID, value: Buffer.from(id, 'hex') };
  const privateKey = findOne(cryptoki, session, CKO_PRIVATE_KEY, wanted, `private key ${name}`);
  const read = (object: Handle, type: number) => attribute(cryptoki, session, object, type);
  requireSafe(name, (type) => read(privateKey, type)?.at(0) === 1);
  const ownId = read(privateKey, CKA_ID);
  const same = ownId === undefined || ownId.length === 0 ? wanted : { type: CKA_ID, value: ownId };
  const publicKey = findOne(cryptoki, session, CKO_PUBLIC_KEY, same, `public key of ${name}`);
  return {
    privateKey,
    publicKey,
    attributes: {
      keyType: numberOf(read(publicKey, CKA_KEY_TYPE)),
      ecParams: read(publicKey, CKA_EC_PARAMS),
      ecPoint: read(publicKey, CKA_EC_POINT),
      modulus: read(publicKey, CKA_MODULUS),
      publicExponent: read(publicKey, CKA_PUBLIC_EXPONENT),
    },
  };
}

/** Reads the object anew; TokenFailure when it is not there any more. */
export function requireThere(cryptoki: Cryptoki, session: Handle, object: Handle): void {
  call('C_GetAttributeValue', () => cryptoki.C_GetAttributeValue(session, object, [{ type: CKA_CLASS }]));
}

function findOne(cryptoki: Cryptoki, session: Handle, objectClass: number, wanted: Wanted, what: string): Handle {
  call('C_FindObjectsInit', () =>
    cryptoki.C_FindObjectsInit(session, [{ type: CKA_CLASS, value: objectClass }, wanted]),
  );
  const found = call('C_FindObjects', () => cryptoki.C_FindObjects(session, MAX_FOUND));
  call('C_FindObjectsFinal', () => cryptoki.C_FindObjectsFinal(session));
  const [object] = found;
  if (object === undefined) throw new TokenFailure('away', `${what}: the token has none`);
  if (found.length > 1) throw new TokenFailure('unsuitable', `${what}: the token has ${found.length}`);
  return object;
}

function requireSafe(name: string, is: (type: number) => boolean): void {
  if (!is(CKA_SIGN)) throw new TokenFailure('unsuitable', `key ${name} is not for signing (CKA_SIGN)`);
  if (is(CKA_ALWAYS_AUTHENTICATE)) {
    throw new TokenFailure('unsuitable', `key ${name} wants the PIN for each signature (CKA_ALWAYS_AUTHENTICATE)`);
  }
  // Whoever has the PIN could read it out in plain: no better than a file.
  if (is(CKA_EXTRACTABLE) && !is(CKA_SENSITIVE)) {
    throw new TokenFailure('unsuitable', `key ${name} can be read out (CKA_EXTRACTABLE without CKA_SENSITIVE)`);
  }
}

function attribute(cryptoki: Cryptoki, session: Handle, object: Handle, type: number): Buffer | undefined {
  try {
    return cryptoki.C_GetAttributeValue(session, object, [{ type }])[0]?.value;
  } catch (error) {
    const value = returnValue(error);
    if (ABSENT.has(value)) return undefined;
    throw new TokenFailure('passing', `C_GetAttributeValue: ${value}`);
  }
}

/** A CK_ULONG, in the byte order and length of this machine. */
function numberOf(bytes: Buffer | undefined): number {
  const own = Uint8Array.from(bytes ?? []);
  if (own.length === 8) return Number(new BigUint64Array(own.buffer)[0]);
  return own.length === 4 ? (new Uint32Array(own.buffer)[0] ?? Number.NaN) : Number.NaN;
}
