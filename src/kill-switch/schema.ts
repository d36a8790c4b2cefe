import { type Static, Type } from '@sinclair/typebox';

import { ReceiptSchema } from '../audit/schema.ts';

const closed = { additionalProperties: false } as const;

export const NoQuery = Type.Object({}, closed);
export const KillSwitchBody = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1024 }) }, closed);

const members = {
  scope: Type.Union([Type.Literal('fleet'), Type.Literal('workspace'), Type.Literal('agent')]),
  workspaceId: Type.Optional(Type.String()),
  agentId: Type.Optional(Type.String()),
  engaged: Type.Boolean({ description: 'Of this switch alone: another one may hold as well' }),
  engagedAt: Type.Optional(Type.String({ description: 'RFC 3339 UTC with milliseconds' })),
  engagedBy: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String({ description: 'Absent once it is erased' })),
  auditEvent: Type.Union([ReceiptSchema, Type.Null()], {
    description: 'Of this request; null when nothing had to change',
  }),
};

export const KillSwitch = Type.Object(members);
export const EngagedKillSwitch = Type.Object({
  ...members,
  stopping: Type.Boolean({ description: 'True: what it stops has not all stopped yet; that goes on by itself' }),
});

export type KillSwitchView = Static<typeof KillSwitch>;
export type EngagedView = Static<typeof EngagedKillSwitch>;
