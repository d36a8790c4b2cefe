import { type Static, Type } from '@sinclair/typebox';
import { Agent } from '../agents/schema.ts';
import { ReceiptSchema } from '../audit/schema.ts';
import { CursorSchema, LimitSchema } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const uuidPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$';

const id = Type.String({ description: 'UUIDv7' });
const time = Type.String({ description: 'RFC 3339 UTC with milliseconds' });
const digest = Type.String({ description: 'sha256: and lower-case hex' });
const nullable = <T extends ReturnType<typeof Type.String>>(schema: T) => Type.Union([schema, Type.Null()]);
const state = Type.Union(
  (['pending', 'approved', 'denied', 'rejected', 'lapsed'] as const).map((name) => Type.Literal(name)),
);

export const NoQuery = Type.Object({}, closed);
export const PromotionParams = Type.Object({ workspaceId: Type.String(), promotionId: Type.String() });

export const PromoteBody = Type.Object(
  { justification: Type.Optional(Type.String({ minLength: 1, maxLength: 2048 })) },
  closed,
);
export const ApproveBody = Type.Object(
  { comment: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })) },
  closed,
);
export const RejectBody = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1024 }) }, closed);
export const ReleaseBody = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1024 }) }, closed);

export const ListPromotionsQuery = Type.Object(
  {
    state: Type.Optional(state),
    agentId: Type.Optional(Type.String({ pattern: uuidPattern })),
    limit: Type.Optional(LimitSchema),
    cursor: Type.Optional(CursorSchema),
  },
  closed,
);

export const VerifyProofBody = Type.Object(
  {
    proof: Type.Unsafe<unknown>({ description: 'The DSSE envelope; anything that is none is MALFORMED' }),
    spec: Type.Optional(
      Type.Unsafe<unknown>({ type: 'object', description: 'The spec that the proof is meant to be about' }),
    ),
    agentId: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description:
          'The agent that the proof is meant to be about. Of a proof of several agents it says which: without it, and without a `spec` that only one of them has, such a proof is MALFORMED',
      }),
    ),
  },
  closed,
);

const DenialSchema = Type.Object(
  { code: Type.String(), reason: Type.String(), severity: Type.String(), check: Type.String() },
  { additionalProperties: true },
);

const Envelope = Type.Object({
  payloadType: Type.String(),
  payload: Type.String({ description: 'base64 of the in-toto Statement v1' }),
  signatures: Type.Array(Type.Object({ keyid: Type.String(), sig: Type.String() })),
});

const approved = {
  success: Type.Literal(true),
  promotionId: id,
  decisionId: id,
  governedAgent: Agent,
  proof: Envelope,
};
const denied = {
  success: Type.Literal(false),
  promotionId: id,
  decisionId: id,
  denies: Type.Array(DenialSchema),
};

export const PromotionResult = Type.Union([Type.Object(approved, closed), Type.Object(denied, closed)]);

/** A promotion that waits for approvals. */
export const PendingResult = Type.Object(
  {
    promotionId: id,
    state: Type.Literal('pending'),
    agentId: id,
    decisionId: Type.String({ description: 'The evaluation of the request' }),
    approvals: Type.Integer({ description: 'Given so far' }),
    approvalsRequired: Type.Integer(),
    expiresAt: time,
  },
  closed,
);

/** The last approval: what the policy said of it. */
export const ApprovalResult = Type.Union([
  Type.Object({ ...approved, state: Type.Literal('approved') }, closed),
  Type.Object({ ...denied, state: Type.Literal('denied') }, closed),
]);

export const RejectionResult = Type.Object(
  {
    success: Type.Literal(true),
    promotionId: id,
    agentId: id,
    state: Type.Literal('rejected'),
    auditEvent: ReceiptSchema,
  },
  closed,
);

export const Promotion = Type.Object({
  promotionId: id,
  agentId: id,
  state,
  requestedBy: Type.Object({ id: Type.String(), kind: Type.String(), roles: Type.Array(Type.String()) }),
  justification: nullable(Type.String()),
  decisionId: nullable(id),
  denies: Type.Array(DenialSchema),
  proofId: nullable(id),
  specVersion: Type.Integer(),
  specHash: digest,
  policyHash: digest,
  approvalsRequired: Type.Integer({ description: '0: policy decided alone, at once' }),
  approvals: Type.Array(
    Type.Object({
      id: Type.String(),
      kind: Type.String(),
      roles: Type.Array(Type.String()),
      approvedAt: time,
      comment: nullable(Type.String()),
    }),
    { description: 'In the order they were given' },
  ),
  requestDecisionId: nullable(Type.String({ description: 'The evaluation of a request that approvers decide' })),
  expiresAt: nullable(Type.String({ description: 'When it lapses unless it is decided' })),
  lapseCause: Type.Union([
    ...(['EXPIRED', 'SPEC_CHANGED', 'POLICY_CHANGED', 'AGENT_DELETED', 'AGENT_GOVERNED'] as const).map((name) =>
      Type.Literal(name),
    ),
    Type.Null(),
  ]),
  rejection: Type.Union([
    Type.Object({ id: Type.String(), kind: Type.String(), reason: nullable(Type.String()) }),
    Type.Null(),
  ]),
  createdAt: time,
  decidedAt: nullable(time),
});

export const PromotionList = Type.Object({
  promotions: Type.Array(Promotion),
  nextCursor: nullable(Type.String({ description: 'Null on the last page' })),
});

export const ReleaseResult = Type.Object({
  success: Type.Literal(true),
  agentId: id,
  status: Type.Literal('stopped'),
  decisionId: id,
  proofId: nullable(id),
  auditEvent: ReceiptSchema,
});

export const VerifyProofResult = Type.Object({
  valid: Type.Boolean(),
  reason: Type.Optional(
    Type.Union(
      (
        [
          'SIGNATURE_INVALID',
          'SIGNER_UNKNOWN',
          'SIGNER_REVOKED',
          'EXPIRED',
          'SPEC_HASH_MISMATCH',
          'POLICY_HASH_MISMATCH',
          'MALFORMED',
        ] as const
      ).map((name) => Type.Literal(name)),
    ),
  ),
});

export type PromotionResultView = Static<typeof PromotionResult>;
export type PendingView = Static<typeof PendingResult>;
export type RejectedView = Static<typeof RejectionResult>;
export type PromotionView = Static<typeof Promotion>;
export type PromotionListView = Static<typeof PromotionList>;
export type ReleaseView = Static<typeof ReleaseResult>;
export type VerifyProofView = Static<typeof VerifyProofResult>;
