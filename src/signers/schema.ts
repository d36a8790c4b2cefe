import { type Static, Type } from '@sinclair/typebox';

const closed = { additionalProperties: false } as const;
/** Characters; an RSA-8192 key in PEM has about 1,500. */
const MAX_PEM = 4096;

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
const nullableTime = Type.Union([Type.String({ description: 'RFC 3339 UTC with milliseconds' }), Type.Null()]);

export const NoQuery = Type.Object({}, closed);
export const SignerParams = Type.Object({ signerId: Type.String() });

export const RegisterSignerBody = Type.Object(
  {
    signerId,
    alg,
    publicKey: Type.String({ minLength: 1, maxLength: MAX_PEM, description: 'SPKI in PEM' }),
    purpose,
    notBefore: Type.Optional(Type.String({ format: 'date-time' })),
    notAfter: Type.Optional(Type.String({ format: 'date-time' })),
  },
  closed,
);

export const RevokeSignerBody = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1024 }) }, closed);

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
  createdAt: Type.String(),
  updatedAt: Type.String(),
});

export const SignerList = Type.Object({ signers: Type.Array(SignerEntry) });

export type RegisterSigner = Static<typeof RegisterSignerBody>;
export type SignerView = Static<typeof SignerEntry>;
