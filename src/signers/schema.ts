import { type Static, Type } from '@sinclair/typebox';

const closed = { additionalProperties: false } as const;
/** Characters; an RSA-8192 key in PEM has about 1,500. */
const MAX_PEM = 4096;
/** Entries of one import: they are one unit, with an event each. */
const MAX_IMPORT = 100;

// Without a slash, which configuration may use: this one must fit into the path of its revocation.
const signerId = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,254}$' });
const alg = Type.Union([
  Type.Literal('HMAC-SHA256'),
  Type.Literal('Ed25519'),
  Type.Literal('ECDSA-P256-SHA256'),
  Type.Literal('RSA-PSS-SHA256'),
]);
const purpose = Type.Union([
  Type.Literal('audit'),
  Type.Literal('proof'),
  Type.Literal('manifest'),
  Type.Literal('checkpoint'),
]);
const state = Type.Union(
  (['pending', 'active', 'retiring', 'retired', 'revoked', 'compromised'] as const).map((name) => Type.Literal(name)),
);
const reason = Type.String({ minLength: 1, maxLength: 1024 });
const publicKey = Type.String({ minLength: 1, maxLength: MAX_PEM, description: 'SPKI in PEM' });
const time = Type.String({ format: 'date-time' });
const nullableTime = Type.Union([Type.String({ description: 'RFC 3339 UTC with milliseconds' }), Type.Null()]);
const nullableSize = Type.Union([Type.Integer({ description: 'a size of the log of checkpoints' }), Type.Null()]);

export const NoQuery = Type.Object({}, closed);
export const SignerParams = Type.Object({ signerId: Type.String() });

export const RegisterSignerBody = Type.Object(
  { signerId, alg, publicKey, purpose, notBefore: Type.Optional(time), notAfter: Type.Optional(time) },
  closed,
);

const optionalTime = Type.Optional(Type.Union([time, Type.Null()]));
const optionalSize = Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]));

/** An entry of a signers.json; what it says beside the key is compared where the signer is registered already. */
const ImportEntry = Type.Object(
  {
    signerId,
    alg,
    publicKey,
    purpose,
    state: Type.Optional(state),
    notBefore: optionalTime,
    notAfter: optionalTime,
    revokedAt: optionalTime,
    trustedUpTo: optionalTime,
    validFromSize: optionalSize,
    validToSize: optionalSize,
    replaces: Type.Optional(Type.Union([signerId, Type.Null()])),
    createdAt: Type.Optional(Type.String()),
    updatedAt: Type.Optional(Type.String()),
  },
  closed,
);

export const ImportSignersBody = Type.Object(
  { signers: Type.Array(ImportEntry, { minItems: 1, maxItems: MAX_IMPORT }) },
  closed,
);

export const RotateSignerBody = Type.Object(
  {
    reason,
    replacement: Type.Optional(
      Type.Object(
        { signerId, alg, publicKey },
        { ...closed, description: 'the key that takes its place; absent: the newest other signer of its purpose does' },
      ),
    ),
    emergency: Type.Optional(
      Type.Boolean({ description: 'the key to be replaced is gone: accepted even while nothing can be signed' }),
    ),
  },
  closed,
);

export const NoBody = Type.Object({}, closed);
export const RevokeSignerBody = Type.Object({ reason }, closed);
export const CompromiseSignerBody = Type.Object(
  {
    reason,
    trustedUpTo: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'Until when the key was surely in nobody else’s hands; now when it is not given',
      }),
    ),
  },
  closed,
);

/** One entry of the registry, as in signers.json. */
export const SignerEntry = Type.Object({
  signerId: Type.String(),
  alg,
  publicKey: Type.Union([Type.String(), Type.Null()], { description: 'SPKI in PEM; null for a shared secret' }),
  purpose,
  state,
  notBefore: nullableTime,
  notAfter: nullableTime,
  revokedAt: nullableTime,
  trustedUpTo: nullableTime,
  validFromSize: nullableSize,
  validToSize: nullableSize,
  replaces: Type.Union([Type.String(), Type.Null()]),
  createdAt: Type.String(),
  updatedAt: Type.String(),
});

export const SignerList = Type.Object({ signers: Type.Array(SignerEntry) });
export const ImportedSigners = Type.Object({
  imported: Type.Array(Type.String(), { description: 'signerIds that were not registered before' }),
  skipped: Type.Array(Type.String(), { description: 'signerIds that were, just like this' }),
});

export type RegisterSigner = Static<typeof RegisterSignerBody>;
export type ImportedEntry = Static<typeof ImportEntry>;
export type ImportResult = Static<typeof ImportedSigners>;
/** A key that is to take the place of another. */
export interface RotateSigner extends Pick<RegisterSigner, 'signerId' | 'alg' | 'publicKey' | 'purpose'> {
  readonly replaces: string;
  readonly emergency?: boolean;
  readonly reason?: string;
}
export type CompromiseSigner = Static<typeof CompromiseSignerBody>;
export type SignerView = Static<typeof SignerEntry>;
