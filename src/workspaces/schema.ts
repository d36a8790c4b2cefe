import { type Static, Type } from '@sinclair/typebox';

import { CursorSchema, LimitSchema } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;

export const CreateWorkspaceBody = Type.Object(
  {
    workspaceId: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }),
    displayName: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, pattern: '\\S', description: 'Default: the workspaceId' }),
    ),
  },
  closed,
);

export const ListWorkspacesQuery = Type.Object(
  { limit: Type.Optional(LimitSchema), cursor: Type.Optional(CursorSchema) },
  closed,
);

export const NoQuery = Type.Object({}, closed);

export const Workspace = Type.Object({
  workspaceId: Type.String(),
  displayName: Type.String(),
  state: Type.Union([Type.Literal('active'), Type.Literal('suspended')]),
  createdAt: Type.String({ description: 'RFC 3339 UTC with milliseconds' }),
  createdBy: Type.String(),
  suspendedAt: Type.Optional(Type.String({ description: 'RFC 3339 UTC with milliseconds; absent while it is active' })),
  suspendedBy: Type.Optional(Type.String()),
});

export const StateBody = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1024 }) }, closed);

export const Suspended = Type.Composite([
  Workspace,
  Type.Object({
    stopped: Type.Integer({ description: 'Agents that were stopped by this request' }),
    stopping: Type.Boolean({ description: 'More run still, and are stopped next' }),
  }),
]);

export const WorkspaceList = Type.Object({
  workspaces: Type.Array(Workspace),
  nextCursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
});

export type WorkspaceView = Static<typeof Workspace>;
export type SuspendedView = Static<typeof Suspended>;
export type WorkspaceListView = Static<typeof WorkspaceList>;
