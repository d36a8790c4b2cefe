import { Type } from '@sinclair/typebox';

import { CursorSchema, LimitSchema } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;

const Digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$' });
const Time = Type.String({ format: 'date-time' });
const Count = Type.Integer({ minimum: 0 });
const Reason = Type.String({ minLength: 1, maxLength: 1000 });
const PolicySetName = Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' });
const VersionNumber = Type.Integer({ minimum: 1, maximum: 2_147_483_647 });

export const VersionParams = Type.Object({ workspaceId: Type.String(), version: Type.String() });
export const VersionsQuery = Type.Object(
  { limit: Type.Optional(LimitSchema), cursor: Type.Optional(CursorSchema) },
  closed,
);

export const HotReloadBody = Type.Object(
  {
    policySet: PolicySetName,
    bundle: Type.Union([
      Type.Object(
        {
          modules: Type.Record(Type.String(), Type.String(), { description: 'Rego text by path' }),
          data: Type.Object({}, { additionalProperties: true }),
        },
        closed,
      ),
      Type.Object({ tarball: Type.String({ description: 'An OPA bundle (tar.gz) in base64' }) }, closed),
    ]),
    mode: Type.Optional(
      Type.Union([Type.Literal('enforce'), Type.Literal('shadow')], { description: 'Default enforce' }),
    ),
    revalidate: Type.Optional(Type.Boolean({ description: 'Default true' })),
    expectedHash: Type.Optional(Digest),
    reason: Type.Optional(Reason),
  },
  closed,
);

export const RollbackBody = Type.Object(
  {
    version: VersionNumber,
    reason: Type.Optional(Reason),
    revalidate: Type.Optional(Type.Boolean({ description: 'Default true' })),
  },
  closed,
);

const RevalidationSchema = Type.Object(
  {
    id: Type.Union([Type.String(), Type.Null()], { description: 'null: nothing had to be revalidated' }),
    state: Type.Union([Type.Literal('running'), Type.Literal('done')]),
    total: Count,
    done: Count,
    invalidated: Count,
  },
  closed,
);

export const ActivationSchema = Type.Object(
  { oldHash: Digest, newHash: Digest, revalidated: Count, revalidation: RevalidationSchema },
  closed,
);

export const SnapshotSchema = Type.Object(
  {
    policySet: Type.String(),
    version: VersionNumber,
    hash: Digest,
    bundle: Type.Object({ modules: Type.Record(Type.String(), Type.String()), data: Type.Unknown() }, closed),
    mode: Type.Literal('enforce'),
    activatedAt: Time,
    activatedBy: Type.String(),
    revokedSigners: Type.Array(Type.String()),
    invalidatedAgents: Type.Array(Type.String(), { maxItems: 1000 }),
    invalidatedTotal: Count,
    revision: Count,
  },
  closed,
);

export const VersionSchema = Type.Object(
  {
    version: VersionNumber,
    policySet: Type.String(),
    hash: Digest,
    state: Type.Union([Type.Literal('active'), Type.Literal('shadow'), Type.Literal('inactive')]),
    packages: Type.Array(Type.String()),
    wasmSha256: Digest,
    compilerVersion: Type.String(),
    createdAt: Time,
    createdBy: Type.String(),
    reason: Type.Optional(Type.String()),
  },
  closed,
);

export const VersionDetailSchema = Type.Object(
  {
    ...VersionSchema.properties,
    bundle: Type.Object({ modules: Type.Record(Type.String(), Type.String()), data: Type.Unknown() }, closed),
  },
  closed,
);

export const VersionListSchema = Type.Object(
  { versions: Type.Array(VersionSchema), nextCursor: Type.Union([Type.String(), Type.Null()]) },
  closed,
);
