import type { ColumnType } from 'kysely';

export interface IdempotencyKeysTable {
  workspace_id: string;
  scope: Buffer;
  /** The agent, for one part of a batch; empty for the answer as a whole. */
  item: string;
  request: Buffer;
  status: number;
  headers: ColumnType<Record<string, string>, string, string>;
  body: string;
  expires_at: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    idempotency_keys: IdempotencyKeysTable;
  }
}
