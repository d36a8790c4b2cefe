import { type Static, Type } from '@sinclair/typebox';

import { CursorSchema, LimitSchema } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ description: 'RFC 3339 UTC with milliseconds' });

/** Minutes: whatever the setting says, an elevation is no standing role. */
const MAX_MINUTES = 1440;

export const ElevationParams = Type.Object({ elevationId: Type.String() });

export const ElevateBody = Type.Object(
  {
    workspaceId: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }),
    minutes: Type.Integer({
      minimum: 1,
      maximum: MAX_MINUTES,
      description: 'At most CASTELLAN_BREAK_GLASS_MAX_MINUTES',
    }),
    justification: Type.String({
      minLength: 1,
      maxLength: 1024,
      pattern: '\\S',
      description: 'Why; it stands in the audit event',
    }),
  },
  closed,
);

export const ListElevationsQuery = Type.Object(
  {
    active: Type.Optional(Type.Boolean({ description: 'true: only those in force' })),
    limit: Type.Optional(LimitSchema),
    cursor: Type.Optional(CursorSchema),
  },
  closed,
);

export const Elevation = Type.Object({
  elevationId: Type.String(),
  principalId: Type.String(),
  workspaceId: Type.String(),
  role: Type.Literal('kernel-admin'),
  grantedAt: time,
  expiresAt: time,
  state: Type.Union([Type.Literal('active'), Type.Literal('ended')]),
  endedAt: Type.Optional(time),
  endCause: Type.Optional(
    Type.Union([Type.Literal('expired'), Type.Literal('holder'), Type.Literal('administrator')], {
      description: 'holder: given back',
    }),
  ),
  auditEvent: Type.Object(
    { chain: Type.String(), seq: Type.Integer() },
    { description: 'The access.breakglass.granted, which has the justification' },
  ),
});

export const ElevationList = Type.Object({
  elevations: Type.Array(Elevation),
  nextCursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
});

export type ElevateRequest = Static<typeof ElevateBody>;
export type ElevationView = Static<typeof Elevation>;
export type ElevationListView = Static<typeof ElevationList>;
