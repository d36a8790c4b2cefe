import type { Readable } from 'node:stream';

import { Type } from '@sinclair/typebox';

import { CursorSchema, LimitSchema } from '../http/pagination.ts';
import { EVENT_TYPES } from './event-types.ts';

const nullableText = Type.Union([Type.String(), Type.Null()]);

/** One audit event as the API shows it; `body` is the authority, the rest are projections of it. */
export const AuditEventSchema = Type.Object({
  id: Type.String(),
  chain: Type.String(),
  seq: Type.Integer(),
  eventType: Type.String(),
  ts: Type.String(),
  actor: Type.Object({ id: Type.String(), kind: Type.String() }),
  payload: Type.Object({}, { additionalProperties: true }),
  personal: Type.Optional(
    Type.Record(Type.String(), Type.String(), {
      description: 'What people wrote, by the member of payload that commits to it; absent once it is erased',
    }),
  ),
  prevHash: Type.String(),
  hash: Type.String(),
  signature: nullableText,
  signerId: nullableText,
  signMode: Type.String(),
  batch: Type.Optional(
    Type.Object(
      { index: Type.Integer(), size: Type.Integer(), path: Type.Array(Type.String()) },
      { description: 'Of mode batch: the way from the hash to the root that was signed (docs/audit-format.md §3)' },
    ),
  ),
  body: Type.String({ description: 'base64 of the exact bytes that hash covers' }),
});

/** Where the event of a change stands in its chain. */
export const ReceiptSchema = Type.Object({ chain: Type.String(), seq: Type.Integer(), hash: Type.String() });

export const ListEventsQuery = Type.Object(
  {
    after: Type.Optional(Type.Integer({ minimum: 0, description: 'Only events with a higher seq' })),
    cursor: Type.Optional(CursorSchema),
    limit: Type.Optional(LimitSchema),
    type: Type.Optional(Type.Union(Object.keys(EVENT_TYPES).map((name) => Type.Literal(name)))),
    actor: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    from: Type.Optional(Type.String({ format: 'date-time', description: 'Only events at or after this time' })),
    to: Type.Optional(Type.String({ format: 'date-time', description: 'Only events before this time' })),
  },
  { additionalProperties: false },
);

export const EventPage = Type.Object({
  events: Type.Array(AuditEventSchema),
  nextCursor: nullableText,
  prunedTo: Type.Union([Type.Integer(), Type.Null()], {
    description:
      'Events up to this seq were removed, or may be at any time, as an event audit.pruned says; null for none',
  }),
});

export const ExportQuery = Type.Object(
  { from: Type.Optional(Type.Integer({ minimum: 1, description: 'Only events from this seq on' })) },
  { additionalProperties: false },
);

/** Many lines, sent as they are read. */
export const ExportAnswer = {
  description:
    'One event per line by seq ascending, as `castellan audit export` writes it: no personal values. An export that fails in the middle ends by a broken connection, never by a body that only looks whole',
  content: { 'application/jsonl': { schema: Type.Unsafe<Readable>({ type: 'string', format: 'binary' }) } },
};

export const NoQuery = Type.Object({}, { additionalProperties: false });

/** What `castellan audit verify --json` prints. */
export const VerificationSchema = Type.Object({
  ok: Type.Boolean(),
  strength: Type.String({ description: 'internal: nothing outside the log was compared' }),
  events: Type.Integer(),
  signatures: Type.Integer(),
  findings: Type.Array(
    Type.Object({ chain: Type.String(), seq: Type.Integer(), class: Type.String(), detail: Type.String() }),
  ),
});
