import { type Static, Type } from '@sinclair/typebox';

import { CursorSchema, LimitSchema } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const uuidPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$';
const effect = Type.Union([Type.Literal('ALLOW'), Type.Literal('DENY'), Type.Literal('REQUIRE_APPROVAL')]);

export const NoQuery = Type.Object({}, closed);
export const DecisionParams = Type.Object({ workspaceId: Type.String(), decisionId: Type.String() });

export const ListDecisionsQuery = Type.Object(
  {
    agentId: Type.Optional(Type.String({ pattern: uuidPattern })),
    effect: Type.Optional(effect),
    tier: Type.Optional(Type.Integer({ minimum: 0, maximum: 3 })),
    code: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'Among the codes of the denials' })),
    from: Type.Optional(Type.String({ format: 'date-time', description: 'Only decisions at or after this time' })),
    to: Type.Optional(Type.String({ format: 'date-time', description: 'Only decisions before this time' })),
    limit: Type.Optional(LimitSchema),
    cursor: Type.Optional(CursorSchema),
  },
  closed,
);

export const Decision = Type.Object({
  decisionId: Type.String(),
  kind: Type.String(),
  agentId: Type.String(),
  action: Type.String(),
  effect,
  decision: Type.Union([Type.Literal('approve'), Type.Literal('deny'), Type.Literal('escalate')]),
  tier: Type.Integer({ minimum: 0, maximum: 3 }),
  reasons: Type.Array(
    Type.Object(
      { code: Type.String(), reason: Type.String(), severity: Type.String(), check: Type.String() },
      { additionalProperties: true },
    ),
    { description: 'The denials, in chain order' },
  ),
  actor: Type.Object({ id: Type.String(), kind: Type.String() }),
  policyHash: Type.String(),
  specHash: Type.String(),
  shadow: Type.Optional(Type.Unsafe<unknown>({ description: 'What the candidate policy would have answered' })),
  traceId: Type.Optional(Type.String()),
  auditSeq: Type.Integer({ description: "seq of the decision's event in the workspace's chain" }),
  createdAt: Type.String({ description: 'RFC 3339 UTC with milliseconds' }),
});

export const DecisionList = Type.Object({
  decisions: Type.Array(Decision),
  nextCursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
});

export type DecisionView = Static<typeof Decision>;
export type DecisionListView = Static<typeof DecisionList>;
export type DecisionQuery = Static<typeof ListDecisionsQuery>;
