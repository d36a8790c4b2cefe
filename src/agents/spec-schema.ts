import { type Static, Type } from '@sinclair/typebox';

/** USD; above it the micro-dollars kept inside would leave the safe integers. */
const MAX_USD = 1_000_000_000;
/** Tokens and calls; far above any real bill, far below 2^53. */
const MAX_COUNT = 1_000_000_000_000;
/** Replicas of one agent; scale-out beyond is the work of a cluster. */
export const MAX_REPLICAS = 100;
const YEAR_SECONDS = 31_536_000;

const closed = { additionalProperties: false } as const;
const usd = Type.Number({ minimum: 0, maximum: MAX_USD });
const total = Type.Integer({ minimum: 0, maximum: MAX_COUNT });
const word = Type.String({ minLength: 1, maxLength: 128 });
const argument = Type.String({ maxLength: 4096 });

const Model = Type.Object(
  {
    provider: Type.Optional(Type.String({ maxLength: 128 })),
    name: Type.Optional(Type.String({ maxLength: 256 })),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
  },
  closed,
);

const Containment = Type.Object(
  {
    externalCalls: Type.Optional(Type.Boolean({ description: 'Absent means false' })),
    persistentWrites: Type.Optional(Type.Boolean({ description: 'Absent means false' })),
  },
  closed,
);

/** What one replica, or one sandbox run, asks for. */
export const ResourcesSchema = Type.Object(
  {
    cpu: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 256, description: 'Cores' })),
    memoryMb: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_048_576 })),
    pids: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_536 })),
    diskMb: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_048_576 })),
  },
  closed,
);

/** The hosts it asks to reach. */
export const NetworkSchema = Type.Object(
  {
    allowDomains: Type.Optional(
      Type.Array(Type.String({ maxLength: 253, pattern: '^(\\*\\.)?[a-z0-9-]+(\\.[a-z0-9-]+)*$' }), {
        maxItems: 100,
      }),
    ),
  },
  closed,
);

const Runtime = Type.Object(
  {
    command: Type.Optional(Type.Array(argument, { minItems: 1, maxItems: 64, description: 'Excludes image' })),
    image: Type.Optional(
      Type.String({ minLength: 1, maxLength: 512, pattern: '^\\S+$', description: 'Excludes command' }),
    ),
    args: Type.Optional(Type.Array(argument, { maxItems: 64 })),
    env: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' }), Type.String({ maxLength: 8192 }), {
        ...closed,
        maxProperties: 100,
        description: 'Never a secret; secretRef:n names one',
      }),
    ),
    resources: Type.Optional(ResourcesSchema),
    network: Type.Optional(NetworkSchema),
    replicas: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_REPLICAS })),
  },
  closed,
);

const Budget = Type.Object(
  {
    monthlyUsd: Type.Optional(usd),
    dailyUsd: Type.Optional(usd),
    hourlyUsd: Type.Optional(usd),
    perTaskUsd: Type.Optional(usd),
    dailyTokens: Type.Optional(total),
    maxTokens: Type.Optional(total),
    maxSeconds: Type.Optional(Type.Number({ minimum: 0, maximum: YEAR_SECONDS })),
    maxTotalCostUsd: Type.Optional(usd),
    maxCostPerCallUsd: Type.Optional(usd),
    maxLlmCalls: Type.Optional(total),
    maxToolCalls: Type.Optional(total),
  },
  closed,
);

const Human = Type.Object(
  {
    requireToolApproval: Type.Optional(Type.Boolean()),
    autoApprovedTools: Type.Optional(Type.Array(word, { maxItems: 200 })),
    stopToken: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  },
  closed,
);

/**
 * What an agent is (contract §5). Only the name is needed to create one; promotion asks for the rest. Nothing has a
 * default here: a spec is stored, hashed and bound as it was sent.
 */
export const AgentSpecSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' }),
    description: Type.Optional(Type.String({ maxLength: 4096 })),
    profile: Type.Optional(Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' })),
    labels: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$' }), Type.String({ maxLength: 256 }), {
        ...closed,
        maxProperties: 64,
      }),
    ),
    model: Type.Optional(Model),
    instructions: Type.Optional(Type.String({ maxLength: 131_072 })),
    capabilities: Type.Optional(Type.Array(word, { maxItems: 100 })),
    tools: Type.Optional(Type.Array(word, { maxItems: 200 })),
    containment: Type.Optional(Containment),
    runtime: Type.Optional(Runtime),
    budget: Type.Optional(Budget),
    human: Type.Optional(Human),
  },
  closed,
);

export type AgentSpec = Static<typeof AgentSpecSchema>;
