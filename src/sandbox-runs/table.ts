import type { ColumnType } from 'kysely';

import type { IsolationView, LimitsView, RunStatus } from './schema.ts';

type Json<T> = ColumnType<T, string, never>;

export interface SandboxRunsTable {
  workspace_id: string;
  id: string;
  agent_id: string;
  spec_hash: string;
  status: RunStatus;
  owner: string;
  commands: Json<string[]>;
  timeout_seconds: number;
  limits: Json<LimitsView>;
  isolation: Json<IsolationView>;
  allow_domains: string[];
  created_at: Date;
  created_by: string;
  trace_id: string;
  started_at: Date | null;
  ended_at: Date | null;
  cancelled_by: string | null;
  cause: string | null;
  results: Buffer | null;
  results_digest: string | null;
}

export interface SandboxHostsTable {
  instance: string;
  place: string | null;
  pid: number | null;
  beat_at: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    sandbox_runs: SandboxRunsTable;
    sandbox_hosts: SandboxHostsTable;
  }
}
