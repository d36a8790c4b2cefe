import { Type } from '@sinclair/typebox';

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });

export const RevalidationParams = Type.Object({ workspaceId: Type.String(), revalidationId: Type.String() });

export const RevalidateBody = Type.Object(
  {
    agentIds: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        minItems: 1,
        maxItems: 1000,
        description: 'Only these; absent: every governed agent',
      }),
    ),
  },
  closed,
);

const ProgressMembers = {
  id: Type.String(),
  state: Type.Union([Type.Literal('running'), Type.Literal('done')]),
  total: Count,
  done: Count,
  invalidated: Count,
};

export const RevalidationSchema = Type.Object(
  {
    ...ProgressMembers,
    cause: Type.Union(
      ['hotreload', 'rollback', 'request', 'renewal', 'revocation'].map((cause) => Type.Literal(cause)),
    ),
    policyHash: Type.String(),
    createdAt: Type.String({ format: 'date-time' }),
    updatedAt: Type.String({ format: 'date-time' }),
  },
  closed,
);

const DenialSchema = Type.Object(
  { code: Type.String(), reason: Type.String(), severity: Type.String(), check: Type.String() },
  { additionalProperties: true },
);

export const RevalidateAnswer = Type.Object(
  {
    results: Type.Array(
      Type.Object(
        {
          agentId: Type.String(),
          status: Type.Union([
            Type.Literal('GOVERNED_VALID'),
            Type.Literal('GOVERNED_RESTRICTED'),
            Type.Literal('GOVERNED_INVALIDATED'),
          ]),
          denies: Type.Optional(Type.Array(DenialSchema)),
        },
        closed,
      ),
      { maxItems: 500 },
    ),
    revalidation: Type.Object(ProgressMembers, closed),
  },
  closed,
);
