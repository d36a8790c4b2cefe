import type { ColumnType, Generated } from 'kysely';

import type { Actor } from '../audit/event.ts';

export type RevalidationCause = 'hotreload' | 'rollback' | 'request' | 'renewal' | 'revocation';

export interface RevalidationsTable {
  workspace_id: string;
  id: string;
  cause: RevalidationCause;
  policy_hash: string;
  /** Null: every governed agent. */
  agent_ids: string[] | null;
  state: 'running' | 'done';
  total: number;
  done: Generated<number>;
  invalidated: Generated<number>;
  after_id: string | null;
  requested_by: ColumnType<Actor, string, never>;
  lease_until: Date | null;
  leased_by: string | null;
  created_at: Date;
  updated_at: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    revalidations: RevalidationsTable;
  }
}
