import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

import { WorkspaceSettingsUnusable } from './errors.ts';

const closed = { additionalProperties: false } as const;

const members = {
  approvalsRequired: Type.Integer({
    minimum: 0,
    maximum: 10,
    description: 'Approvals that a promotion needs, each of another human than the requester; 0: policy alone decides',
  }),
  reapproveOnPolicyChange: Type.Boolean({
    description: 'Whether approvals are asked for again when an agent is revalidated under another policy',
  }),
  defaultTtlSeconds: Type.Integer({
    minimum: 1,
    maximum: 2_592_000,
    description: 'How long a sandbox agent lives when its creator does not say',
  }),
};

const limits = {
  maxAgents: Type.Integer({ minimum: 0, maximum: 10_000_000, description: 'Agents there may be at once' }),
  requestsPerSecond: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    description: "All callers' requests to the workspace; it only lowers what the service allows",
  }),
};

const sandbox = {
  maxCpu: Type.Number({ minimum: 0.01, maximum: 256, description: 'Cores of one sandbox run or replica' }),
  maxMemoryMb: Type.Integer({ minimum: 8, maximum: 1_048_576, description: 'MiB of memory of one of them' }),
  maxPids: Type.Integer({ minimum: 8, maximum: 65_536, description: 'Processes and threads of one of them' }),
  maxDiskMb: Type.Integer({
    minimum: 1,
    maximum: 1_048_576,
    description: 'MiB of the working directory of one of them',
  }),
  maxTimeoutSeconds: Type.Integer({ minimum: 1, maximum: 900, description: 'Time of one sandbox run' }),
  maxConcurrentRuns: Type.Integer({
    minimum: 0,
    maximum: 1000,
    description: 'Sandbox runs under way at once on one replica; 0: none at all',
  }),
  allowDomains: Type.Array(Type.String({ maxLength: 253, pattern: '^(\\*\\.)?[a-z0-9-]+(\\.[a-z0-9-]+)*$' }), {
    maxItems: 100,
    description: 'Hosts that sandbox runs and agents may ask to reach, `*.` for subdomains; none when absent',
  }),
};

/** What a workspace has in force: its own settings over the defaults. */
export const WorkspaceSettings = Type.Object(
  {
    ...members,
    limits: Type.Object(
      { maxAgents: Type.Optional(limits.maxAgents), requestsPerSecond: Type.Optional(limits.requestsPerSecond) },
      closed,
    ),
    sandbox: Type.Object(
      {
        maxCpu: Type.Optional(sandbox.maxCpu),
        maxMemoryMb: Type.Optional(sandbox.maxMemoryMb),
        maxPids: Type.Optional(sandbox.maxPids),
        maxDiskMb: Type.Optional(sandbox.maxDiskMb),
        maxTimeoutSeconds: Type.Optional(sandbox.maxTimeoutSeconds),
        maxConcurrentRuns: Type.Optional(sandbox.maxConcurrentRuns),
        allowDomains: Type.Optional(sandbox.allowDomains),
      },
      { ...closed, description: 'Of sandbox runs and of agents that are run; they only lower what the service allows' },
    ),
  },
  closed,
);

/** What a workspace has set itself; everything else follows the defaults, also those of a later release. */
const StoredSettings = Type.Partial(WorkspaceSettings, closed);

/** A merge patch (RFC 7396): null takes a setting back to its default. */
export const WorkspaceSettingsPatch = Type.Object(
  {
    approvalsRequired: patched(members.approvalsRequired),
    reapproveOnPolicyChange: patched(members.reapproveOnPolicyChange),
    defaultTtlSeconds: patched(members.defaultTtlSeconds),
    limits: patched(
      Type.Object(
        { maxAgents: patched(limits.maxAgents), requestsPerSecond: patched(limits.requestsPerSecond) },
        closed,
      ),
    ),
    sandbox: patched(
      Type.Object(
        {
          maxCpu: patched(sandbox.maxCpu),
          maxMemoryMb: patched(sandbox.maxMemoryMb),
          maxPids: patched(sandbox.maxPids),
          maxDiskMb: patched(sandbox.maxDiskMb),
          maxTimeoutSeconds: patched(sandbox.maxTimeoutSeconds),
          maxConcurrentRuns: patched(sandbox.maxConcurrentRuns),
          allowDomains: patched(sandbox.allowDomains),
        },
        closed,
      ),
    ),
  },
  { ...closed, minProperties: 1 },
);

export type WorkspaceSettings = Static<typeof WorkspaceSettings>;
export type StoredSettings = Static<typeof StoredSettings>;
export type WorkspaceSettingsPatch = Static<typeof WorkspaceSettingsPatch>;

/** In force where a workspace says nothing. */
export const DEFAULT_SETTINGS: WorkspaceSettings = {
  // As the shipped policy has it: it decides alone.
  approvalsRequired: 0,
  reapproveOnPolicyChange: false,
  // Seconds; contract §5.
  defaultTtlSeconds: 86_400,
  limits: {},
  sandbox: {},
};

/** What a row holds, checked. Throws WorkspaceSettingsUnusable: an edited row must not loosen anything silently. */
export function parseStored(value: unknown): StoredSettings {
  if (!isStored(value)) throw new WorkspaceSettingsUnusable();
  return value;
}

export function isStored(value: unknown): value is StoredSettings {
  return Value.Check(StoredSettings, value);
}

/** The settings in force. */
export function inForce(stored: StoredSettings): WorkspaceSettings {
  return { ...DEFAULT_SETTINGS, ...stored };
}

function patched<T extends TSchema>(schema: T) {
  return Type.Optional(Type.Union([schema, Type.Null()]));
}
