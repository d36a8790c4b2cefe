import { type Static, type TSchema, Type } from '@sinclair/typebox';

import { AGENT_STATUSES } from '../agents/lifecycle.ts';
import { MAX_REPLICAS } from '../agents/spec-schema.ts';
import { ReceiptSchema } from '../audit/schema.ts';
import { CursorSchema, LimitSchema } from '../http/pagination.ts';
import { PresentedManifest } from '../manifests/schema.ts';

// The members are written as the callers of these routes send them; those of a spec, a manifest and a problem are not theirs.

const closed = { additionalProperties: false } as const;
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

const id = Type.String({ description: 'UUIDv7' });
const time = Type.String({ description: 'RFC 3339 UTC with milliseconds' });
const digest = Type.String({ description: 'sha256: and lower-case hex' });
const status = Type.Union(AGENT_STATUSES.map((name) => Type.Literal(name)));
const replicas = Type.Integer({ minimum: 1, maximum: MAX_REPLICAS });
const templateId = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' });
const templateName = Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' });
const workspaceId = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 63,
    description: 'Needed by callers who may use more than one workspace',
  }),
);
const mergedConfig = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  description:
    'Members of AgentSpec. With a template: an RFC 7396 merge patch of its config; the result must be an AgentSpec',
});

export const AgentOnlyParams = Type.Object({ agent_id: Type.String() });
export const TemplateParams = Type.Object({ template_id: Type.String() });
export const WorkspaceQuery = Type.Object({ workspace_id: workspaceId }, closed);
export const ListTemplatesQuery = Type.Object(
  { workspace_id: workspaceId, limit: Type.Optional(LimitSchema), cursor: Type.Optional(CursorSchema) },
  closed,
);

export const SpawnBody = Type.Object(
  {
    agent_config: mergedConfig,
    template_id: Type.Optional(templateId),
    manifest: PresentedManifest,
    workspace_id: workspaceId,
  },
  closed,
);
export const StartBody = Type.Object({ replicas: Type.Optional(replicas) }, closed);
export const StopBody = Type.Object({ reason: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })) }, closed);
export const ScaleBody = Type.Object({ replicas }, closed);

export const CreateTemplateBody = Type.Object(
  {
    template_id: Type.Optional(templateId),
    version: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2_147_483_647,
        description: 'The one that will be the first; else it is a 409',
      }),
    ),
    workspace_id: workspaceId,
    name: templateName,
    agent_config: Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      description: 'Members of AgentSpec, any of them',
    }),
    manifest: PresentedManifest,
  },
  closed,
);
export const PatchTemplateBody = Type.Object(
  {
    name: Type.Optional(templateName),
    agent_config: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({ type: 'object', description: 'RFC 7396 merge patch of the config' }),
    ),
    manifest: PresentedManifest,
  },
  { ...closed, minProperties: 1 },
);

export const Spawned = Type.Object({ agent_id: id, status: Type.Literal('stopped'), mode: Type.Literal('sandbox') });

const Check = Type.Object({ check: Type.String(), outcome: Type.String() });
const Admission = Type.Object({
  policy_hash: digest,
  checks: Type.Array(Check),
  interceptors: Type.Array(Check),
});

export const Started = Type.Object({
  success: Type.Literal(true),
  agent_id: id,
  status,
  managed: Type.Boolean(),
  already_running: Type.Optional(
    Type.Literal(true, { description: 'Nothing was decided: no admission, no decision, no event' }),
  ),
  admission: Type.Optional(Admission),
  decision_id: Type.Optional(id),
  audit_event: Type.Optional(ReceiptSchema),
});

export const Stopped = Type.Object({
  success: Type.Literal(true),
  agent_id: id,
  status,
  audit_event: nullable(ReceiptSchema),
});

export const ScaleResult = Type.Object({
  success: Type.Literal(true),
  agent_id: id,
  status,
  managed: Type.Boolean(),
  replicas: Type.Integer(),
  previous_replicas: Type.Integer(),
  admission: Type.Optional(Admission),
  decision_id: Type.Optional(id),
  audit_event: Type.Union([ReceiptSchema, Type.Null()], { description: 'Null when it had as many already' }),
});

export const TemplateSchema = Type.Object({
  template_id: Type.String(),
  version: Type.Integer(),
  workspace_id: Type.String(),
  name: Type.String(),
  agent_config: Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true }),
  config_hash: digest,
  updated_at: time,
  updated_by: Type.String(),
});

export const TemplateList = Type.Object({
  templates: Type.Array(TemplateSchema),
  next_cursor: nullable(Type.String({ description: 'Null on the last page' })),
});

export type SpawnedView = Static<typeof Spawned>;
export type StartedView = Static<typeof Started>;
export type StoppedView = Static<typeof Stopped>;
export type ScaledView = Static<typeof ScaleResult>;
export type TemplateView = Static<typeof TemplateSchema>;
