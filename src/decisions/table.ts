import type { ColumnType } from 'kysely';

export interface DecisionsTable {
  workspace_id: string;
  id: string;
  kind: 'start' | 'launch' | 'scale' | 'promotion' | 'release' | 'sandbox.run';
  agent_id: string;
  action: string;
  effect: 'ALLOW' | 'DENY' | 'REQUIRE_APPROVAL';
  tier: number;
  codes: string[];
  reasons: ColumnType<unknown, string, never>;
  actor_id: string;
  actor_kind: string;
  policy_hash: string;
  spec_hash: string;
  shadow: ColumnType<unknown, string | null, never>;
  trace_id: string | null;
  audit_seq: number;
  created_at: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    decisions: DecisionsTable;
  }
}
