import { type Static, Type } from '@sinclair/typebox';

import { ReceiptSchema } from '../audit/schema.ts';

const closed = { additionalProperties: false } as const;
const reason = Type.String({ minLength: 1, maxLength: 1024 });

export const ErasureBody = Type.Object(
  {
    actorId: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'All that this actor wrote; either this or events' }),
    ),
    events: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1 }), {
        minItems: 1,
        maxItems: 1000,
        uniqueItems: true,
        description: 'What stands in the events with these seq',
      }),
    ),
    reason,
  },
  closed,
);

export const Erasure = Type.Object({
  erasureId: Type.String(),
  values: Type.Integer({ description: 'Values that were erased; 0 when none was left' }),
  more: Type.Boolean({ description: 'More are left than one erasure takes: ask again' }),
  auditEvent: ReceiptSchema,
});

export const HoldBody = Type.Object({ reason }, closed);

export const Hold = Type.Object({
  held: Type.Boolean(),
  placedAt: Type.Optional(Type.String({ description: 'RFC 3339 UTC with milliseconds' })),
  placedBy: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String({ description: 'Absent once it is erased' })),
  auditEvent: Type.Optional(
    Type.Object({ chain: Type.String(), seq: Type.Integer() }, { description: 'The audit.hold.placed' }),
  ),
});

export const NoQuery = Type.Object({}, closed);

export type ErasureRequest = Static<typeof ErasureBody>;
export type ErasureView = Static<typeof Erasure>;
export type HoldView = Static<typeof Hold>;
