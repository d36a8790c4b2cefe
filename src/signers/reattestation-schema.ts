import { type Static, Type } from '@sinclair/typebox';

export const ReattestBody = Type.Object(
  {
    signerId: Type.String({ minLength: 1, maxLength: 255, description: 'A signer that is compromised' }),
    reason: Type.String({ minLength: 1, maxLength: 1024 }),
    to: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'The last event that was compared: with another one in doubt behind it nothing is vouched for',
      }),
    ),
    hash: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Of that event' })),
  },
  { additionalProperties: false },
);

export const Reattestation = Type.Object({
  chain: Type.String(),
  signerId: Type.String(),
  from: Type.Integer({ description: 'The first event of that signer outside the range for which it is trusted' }),
  to: Type.Integer({ description: 'The last one' }),
  hash: Type.String({ description: 'Of the event at to' }),
  event: Type.Object({ seq: Type.Integer(), hash: Type.String() }, { description: 'The event that vouches for them' }),
});

export type Reattest = Static<typeof ReattestBody>;
export type ReattestationView = Static<typeof Reattestation>;
