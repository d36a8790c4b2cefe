import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { ReceiptSchema } from '../audit/schema.ts';

import { CursorSchema, LimitSchema } from '../http/pagination.ts';
import { PresentedManifest } from '../manifests/schema.ts';
import { AGENT_STATUSES } from './lifecycle.ts';
import { AgentSpecSchema, MAX_REPLICAS } from './spec-schema.ts';

/** Agents that one batch may name (contract §5). */
const MAX_BATCH = 200;
/** Seconds; contract §5. */
const MAX_TTL = 2_592_000;
/** A page number above this would cost more than the list is worth; the cursor has no such bound. */
const MAX_PAGE = 1_000;

const closed = { additionalProperties: false } as const;
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

const id = Type.String({ description: 'UUIDv7' });
const time = Type.String({ description: 'RFC 3339 UTC with milliseconds' });
const digest = Type.String({ description: 'sha256: and lower-case hex' });
const reason = Type.String({ minLength: 1, maxLength: 1024 });
const mode = Type.Union([Type.Literal('sandbox'), Type.Literal('governed')]);
const status = Type.Union(AGENT_STATUSES.map((name) => Type.Literal(name)));
const ttlSeconds = Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_TTL, description: 'Default 86400' }));
const nextCursor = nullable(Type.String({ description: 'Null on the last page' }));
// Open: what is stored is shown as it is stored, even when somebody edited it.
const storedSpec = Type.Unsafe<unknown>({ description: 'The spec as stored; its members are those of AgentSpec' });
const lastExit = Type.Optional(Type.Unsafe<unknown>({ type: 'object', additionalProperties: true }));

const Denial = Type.Object(
  { code: Type.String(), reason: Type.String(), severity: Type.String(), check: Type.String() },
  { additionalProperties: true },
);

export const NoQuery = Type.Object({}, closed);

export const CreateAgentBody = Type.Object({ spec: AgentSpecSchema, ttlSeconds, manifest: PresentedManifest }, closed);
export const PatchAgentBody = Type.Object(
  {
    spec: Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      description: 'RFC 7396 merge patch of the spec; the result must be an AgentSpec',
    }),
    manifest: PresentedManifest,
  },
  closed,
);
export const ForkAgentBody = Type.Object(
  { name: Type.Optional(AgentSpecSchema.properties.name), ttlSeconds, manifest: PresentedManifest },
  closed,
);
export const StartAgentBody = Type.Object(
  { replicas: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_REPLICAS })) },
  closed,
);
export const StopAgentBody = Type.Object({ reason: Type.Optional(reason) }, closed);
export const QuarantineBody = Type.Object({ reason }, closed);
export const BatchBody = Type.Object(
  {
    action: Type.Union([Type.Literal('start'), Type.Literal('stop'), Type.Literal('promote'), Type.Literal('delete')]),
    agentIds: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      minItems: 1,
      maxItems: MAX_BATCH,
      uniqueItems: true,
    }),
  },
  closed,
);

export const ListAgentsQuery = Type.Object(
  {
    search: Type.Optional(Type.String({ maxLength: 200, description: 'Part of the name, in any case' })),
    mode: Type.Optional(mode),
    status: Type.Optional(status),
    capability: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    limit: Type.Optional(LimitSchema),
    cursor: Type.Optional(CursorSchema),
  },
  closed,
);
export const ListStatusesQuery = Type.Object(
  {
    status: Type.Optional(status),
    page: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE, description: 'Excludes cursor' })),
    limit: Type.Optional(LimitSchema),
    cursor: Type.Optional(CursorSchema),
  },
  closed,
);
export const ListVersionsQuery = Type.Object(
  { limit: Type.Optional(LimitSchema), cursor: Type.Optional(CursorSchema) },
  closed,
);

export const Agent = Type.Object({
  id,
  workspaceId: Type.String(),
  name: Type.String(),
  mode,
  status,
  managed: Type.Boolean({ description: 'False: it runs elsewhere, Castellan decides whether it may' }),
  spec: storedSpec,
  specVersion: Type.Integer(),
  specHash: digest,
  expiresAt: nullable(time),
  desiredReplicas: Type.Integer(),
  readyReplicas: Type.Integer(),
  since: time,
  lastExit,
  quarantine: Type.Optional(Type.Object({ at: time, by: Type.String(), reason: Type.String() })),
  forkedFrom: Type.Optional(Type.Object({ agentId: id, specVersion: Type.Integer() })),
  createdAt: time,
  createdBy: Type.String(),
  updatedAt: time,
});

export const AgentList = Type.Object({
  agents: Type.Array(Agent),
  total: Type.Integer(),
  totalIsLowerBound: Type.Optional(Type.Literal(true)),
  nextCursor,
});

export const AgentRunStatus = Type.Object({
  agentId: id,
  mode,
  status,
  managed: Type.Boolean(),
  desiredReplicas: Type.Integer(),
  readyReplicas: Type.Integer(),
  since: time,
  lastExit,
});

export const StatusList = Type.Object({ agents: Type.Array(AgentRunStatus), total: Type.Integer(), nextCursor });

export const SpecVersionList = Type.Object({
  versions: Type.Array(
    Type.Object({
      version: Type.Integer(),
      specHash: digest,
      spec: storedSpec,
      createdAt: time,
      createdBy: Type.String(),
    }),
  ),
  nextCursor,
});

const Check = Type.Object({ check: Type.String(), outcome: Type.Union([Type.Literal('pass'), Type.Literal('skip')]) });

export const StartResult = Type.Object({
  success: Type.Literal(true),
  agentId: id,
  status,
  managed: Type.Boolean(),
  alreadyRunning: Type.Optional(
    Type.Literal(true, { description: 'Nothing was decided: no admission, no decision, no event' }),
  ),
  admission: Type.Optional(
    Type.Object({ policyHash: digest, checks: Type.Array(Check), interceptors: Type.Array(Check) }),
  ),
  decisionId: Type.Optional(id),
  auditEvent: Type.Optional(ReceiptSchema),
});

export const StopResult = Type.Object({
  success: Type.Literal(true),
  agentId: id,
  status,
  auditEvent: Type.Union([ReceiptSchema, Type.Null()], { description: 'Null when nothing had to change' }),
});

export const BatchResult = Type.Object({
  results: Type.Array(
    Type.Object(
      {
        agentId: Type.String(),
        success: Type.Boolean(),
        code: Type.Optional(Type.String()),
        detail: Type.Optional(Type.String()),
        status: Type.Optional(status),
        alreadyRunning: Type.Optional(Type.Literal(true)),
        decisionId: Type.Optional(id),
        promotionId: Type.Optional(id),
        state: Type.Optional(
          Type.Literal('pending', { description: 'The promotion waits for approvals: nothing is promoted yet' }),
        ),
        denies: Type.Optional(Type.Array(Denial)),
        auditEvent: Type.Optional(nullable(ReceiptSchema)),
      },
      closed,
    ),
  ),
});

export const GovernanceResult = Type.Object({
  governance: Type.Object({
    mode,
    status: Type.Union([
      Type.Literal('SANDBOX'),
      Type.Literal('GOVERNED_VALID'),
      Type.Literal('GOVERNED_RESTRICTED'),
      Type.Literal('GOVERNED_INVALIDATED'),
    ]),
    specHash: digest,
    policyHash: nullable(digest),
    currentPolicyHash: digest,
    proof: Type.Unsafe<unknown>({
      description:
        'The DSSE envelope of the proof in force, or null. An agent gets { "statement": digest } of one that it shares with others',
    }),
    invalidation: Type.Optional(Type.Object({ at: time, denies: Type.Array(Denial) })),
  }),
});

export type AgentView = Static<typeof Agent>;
export type AgentListView = Static<typeof AgentList>;
export type RunStatusView = Static<typeof AgentRunStatus>;
export type StatusListView = Static<typeof StatusList>;
export type SpecVersionListView = Static<typeof SpecVersionList>;
export type StartView = Static<typeof StartResult>;
export type StopView = Static<typeof StopResult>;
export type BatchOutcome = Static<typeof BatchResult>['results'][number];
export type GovernanceView = Static<typeof GovernanceResult>['governance'];
