import { type Static, Type } from '@sinclair/typebox';

import { CursorSchema, LimitSchema } from '../../http/pagination.ts';

const closed = { additionalProperties: false } as const;

export const LogsQuery = Type.Object(
  {
    follow: Type.Optional(
      Type.Boolean({ description: 'Server-sent events: what is kept and then what comes; Last-Event-ID resumes' }),
    ),
    tail: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 500, description: 'Only so many of the newest entries; excludes cursor' }),
    ),
    limit: Type.Optional(LimitSchema),
    cursor: Type.Optional(CursorSchema),
  },
  closed,
);

const LogEntry = Type.Object({
  id: Type.String({ description: 'Rises within an agent' }),
  at: Type.String({ description: 'RFC 3339 UTC with milliseconds; when its first byte came' }),
  launchId: Type.String({ description: 'Which process: that of agent.launched' }),
  replica: Type.String(),
  stream: Type.Union([Type.Literal('stdout'), Type.Literal('stderr')]),
  text: Type.String({ description: 'Output as it came: parts of lines, or many' }),
});

export const LogList = Type.Object({
  entries: Type.Array(LogEntry, { description: 'The oldest first' }),
  nextCursor: Type.Union([Type.String(), Type.Null()], {
    description: 'After the last entry shown; null when there are none at all. It may be asked again later',
  }),
  dropped: Type.Integer({ description: 'Bytes of output that came faster than they are kept' }),
});

export type LogEntryView = Static<typeof LogEntry>;
export type LogListView = Static<typeof LogList>;
export type LogsQueryView = Static<typeof LogsQuery>;
