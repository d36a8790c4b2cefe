import type { Readable } from 'node:stream';
import { type Static, type TSchema, Type } from '@sinclair/typebox';

import { NetworkSchema, ResourcesSchema } from '../agents/spec-schema.ts';
import { CursorSchema, LimitSchema } from '../http/pagination.ts';
import { COMMAND_OUTCOMES } from '../runtime/isolation.ts';

// Written as the callers of an agent manager send it; `resources`, `network` and `limits` have the members of a spec.

const closed = { additionalProperties: false } as const;
const nullable = <T extends TSchema>(schema: T, description?: string) =>
  Type.Union([schema, Type.Null()], description === undefined ? {} : { description });

/** Characters of one command, and bytes of all of them. */
const MAX_COMMAND = 16_384;
export const MAX_COMMANDS_BYTES = 262_144;
/** Bytes of all names and values of the environment. */
export const MAX_ENV_BYTES = 131_072;
/** Seconds. */
export const MAX_TIMEOUT = 900;
export const DEFAULT_TIMEOUT = 60;

const id = Type.String({ description: 'UUIDv7' });
const time = Type.String({ description: 'RFC 3339 UTC with milliseconds' });

export const RUN_STATUSES = ['queued', 'running', 'passed', 'failed', 'killed', 'timeout', 'error'] as const;
const status = Type.Union(RUN_STATUSES.map((name) => Type.Literal(name)));

export const NoQuery = Type.Object({}, closed);
export const AgentOnlyParams = Type.Object({ agent_id: Type.String() });
export const RunParams = Type.Object({ agent_id: Type.String(), run_id: Type.String() });
export const CancelBody = Type.Object({}, closed);
export const ListRunsQuery = Type.Object(
  { status: Type.Optional(status), limit: Type.Optional(LimitSchema), cursor: Type.Optional(CursorSchema) },
  closed,
);

export const RunBody = Type.Object(
  {
    tests: Type.Array(Type.String({ minLength: 1, maxLength: MAX_COMMAND, pattern: '\\S' }), {
      minItems: 1,
      maxItems: 50,
      description:
        'Commands, each run by `sh -c` one after another in one working directory, also after a failure; 262,144 bytes together at most',
    }),
    timeout_seconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_TIMEOUT,
        description: `Of the whole run, from when it starts; default ${DEFAULT_TIMEOUT}, or less where the workspace allows less`,
      }),
    ),
    env: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' }), Type.String({ maxLength: 8192 }), {
        ...closed,
        maxProperties: 100,
        description: 'Never a secret, and no secretRef: it is not kept, but the commands may print it',
      }),
    ),
    resources: Type.Optional(ResourcesSchema),
    network: Type.Optional(NetworkSchema),
    async: Type.Optional(Type.Boolean({ description: 'Answer at once; the run may wait for a place' })),
  },
  closed,
);

const CommandResult = Type.Object({
  command: Type.String(),
  result: Type.Union(COMMAND_OUTCOMES.map((name) => Type.Literal(name))),
  exit_code: nullable(
    Type.Integer(),
    'As a shell says it; null when it was ended for its time, its output or a cancellation, or never began',
  ),
  stdout: Type.String({ description: 'Its head and its tail' }),
  stderr: Type.String({ description: 'Its head and its tail' }),
  truncated: Type.Boolean({ description: 'Something of stdout or stderr is left out' }),
  duration_ms: Type.Integer(),
  signal: Type.Optional(Type.String()),
  usage: Type.Optional(Type.Object({ peak_memory_bytes: nullable(Type.Integer()), cpu_ms: nullable(Type.Integer()) })),
});

const Connection = Type.Object({
  at: time,
  host: Type.String(),
  port: Type.Integer(),
  verdict: Type.Union([Type.Literal('allowed'), Type.Literal('denied')]),
  code: Type.Optional(Type.String()),
  bytes_out: Type.Integer(),
  bytes_in: Type.Integer(),
});

const RunLimits = Type.Object({
  cpu: Type.Number({ description: 'Cores' }),
  memoryMb: Type.Number(),
  pids: Type.Integer(),
  diskMb: Type.Number(),
  timeout_seconds: Type.Integer(),
  output_bytes: Type.Integer({ description: 'A command that writes more is ended: output_limit' }),
});

const RunIsolation = Type.Object({
  driver: Type.String(),
  version: Type.String(),
  limits: Type.Union([Type.Literal('enforced'), Type.Literal('degraded')]),
  network: Type.Union([Type.Literal('none'), Type.Literal('allowlist')]),
});

const summary = {
  run_id: id,
  agent_id: id,
  status,
  created_at: time,
  created_by: Type.String(),
  started_at: Type.Optional(time),
  ended_at: Type.Optional(time),
  cause: Type.Optional(Type.String({ description: 'Why it ended before its time, such as caller or kill_switch' })),
  limits: RunLimits,
  isolation: RunIsolation,
};

/** A run as far as it has come; `results` are there once it has ended. */
export const Run = Type.Object({
  ...summary,
  results: Type.Array(CommandResult, { description: 'Of each command; empty until the run has ended' }),
  connections: Type.Optional(
    Type.Array(Connection, { description: 'What the egress proxy decided, at most the first 1,000' }),
  ),
});

export const Queued = Type.Object({ run_id: id, status: Type.Literal('queued') });

export const RunList = Type.Object({
  runs: Type.Array(Type.Object(summary)),
  next_cursor: nullable(Type.String(), 'Null on the last page'),
});

/** Many events, sent as they come. */
export const Events = {
  description:
    'Server-sent events: `command`, `stdout`, `stderr` and `result` of each command, and `end`; comments in between keep the connection open',
  content: { 'text/event-stream': { schema: Type.Unsafe<Readable>({ type: 'string' }) } },
};

export type RunStatus = (typeof RUN_STATUSES)[number];
export type RunRequest = Static<typeof RunBody>;
export type RunView = Static<typeof Run>;
export type RunListView = Static<typeof RunList>;
export type CommandView = Static<typeof CommandResult>;
export type ConnectionView = Static<typeof Connection>;
export type LimitsView = Static<typeof RunLimits>;
export type IsolationView = Static<typeof RunIsolation>;
