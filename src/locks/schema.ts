import { type Static, Type } from '@sinclair/typebox';

import { ReceiptSchema } from '../audit/schema.ts';
import { CursorSchema, LimitSchema } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const reason = Type.String({ minLength: 1, maxLength: 1024 });
const time = Type.String({ description: 'RFC 3339 UTC with milliseconds' });

export const LockParams = Type.Object({ lockId: Type.String() });

export const PlaceLockBody = Type.Object(
  {
    serial: Type.Optional(
      Type.String({
        // RFC 5280 §4.1.2.2: 20 octets, with one more before them and colons between them at most.
        pattern: '^(?:[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){0,20}|[0-9A-Fa-f]{1,42})$',
        description: 'Of a client certificate, hex, with or without colons; either this or principalId',
      }),
    ),
    principalId: Type.Optional(
      Type.String({ pattern: '^[\\x21-\\x7e]{1,2048}$', description: 'As events name it; either this or serial' }),
    ),
    expiresAt: Type.Optional(Type.String({ format: 'date-time', description: 'Default: until it is released' })),
    reason,
  },
  closed,
);

export const ReleaseLockBody = Type.Object({ reason }, closed);

export const ListLocksQuery = Type.Object(
  { limit: Type.Optional(LimitSchema), cursor: Type.Optional(CursorSchema) },
  closed,
);

export const NoQuery = Type.Object({}, closed);

const lock = {
  lockId: Type.String(),
  serial: Type.Optional(Type.String({ description: 'Upper-case hex without leading zeros' })),
  principalId: Type.Optional(Type.String()),
  state: Type.Union([Type.Literal('active'), Type.Literal('expired')]),
  placedAt: time,
  placedBy: Type.String(),
  expiresAt: Type.Optional(time),
  reason: Type.Optional(Type.String({ description: 'Absent once it is erased' })),
};

export const Lock = Type.Object({
  ...lock,
  auditEvent: Type.Object({ chain: Type.String(), seq: Type.Integer() }, { description: 'The access.lock.placed' }),
});

export const LockList = Type.Object({
  locks: Type.Array(Lock),
  nextCursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
});

export const ReleasedLock = Type.Object({ lockId: Type.String(), auditEvent: ReceiptSchema });

export type PlaceLockRequest = Static<typeof PlaceLockBody>;
export type LockView = Static<typeof Lock>;
export type LockListView = Static<typeof LockList>;
export type ReleasedLockView = Static<typeof ReleasedLock>;
