import type { ColumnType, Generated } from 'kysely';

import type { AgentMode, AgentStatus } from './lifecycle.ts';

type Json<T> = ColumnType<T, string, string>;
type NullableJson<T> = ColumnType<T | null, string | null | undefined, string | null>;

export interface AgentsTable {
  workspace_id: string;
  id: string;
  name: string;
  name_folded: string;
  mode: AgentMode;
  status: AgentStatus;
  spec_version: number;
  spec_hash: string;
  capabilities: string[];
  managed: boolean;
  desired_replicas: Generated<number>;
  ready_replicas: Generated<number>;
  expires_at: Date | null;
  since: Date;
  last_exit: NullableJson<Record<string, unknown>>;
  proof_id: string | null;
  invalidation: NullableJson<{ at: string; denies: readonly Record<string, unknown>[] }>;
  quarantine: NullableJson<{ at: string; by: string; reason: string }>;
  /** Rises with every change of what is wanted, and never else. */
  generation: Generated<number>;
  started_generation: Generated<number>;
  started_by: NullableJson<{ id: string; kind: string; roles: readonly string[] }>;
  stop_now: Generated<boolean>;
  forked_from: NullableJson<{ agentId: string; specVersion: number }>;
  /** A bigint; the storage's parsers give a number. */
  version: Generated<number>;
  created_at: Date;
  created_by: string;
  updated_at: Date;
}

export interface AgentSpecsTable {
  workspace_id: string;
  agent_id: string;
  version: number;
  spec: Json<unknown>;
  spec_bytes: Buffer;
  spec_hash: string;
  created_at: Date;
  created_by: string;
}

export interface AgentDirectoryTable {
  agent_id: string;
  workspace_id: string;
}

export interface AgentCountsTable {
  workspace_id: string;
  mode: AgentMode;
  status: AgentStatus;
  n: number;
}

declare module '../storage/database.ts' {
  interface Database {
    agents: AgentsTable;
    agent_specs: AgentSpecsTable;
    agent_directory: AgentDirectoryTable;
    agent_counts: AgentCountsTable;
  }
}
