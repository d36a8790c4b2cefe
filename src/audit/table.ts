import type { ColumnType } from 'kysely';

export interface AuditHeadsTable {
  chain: string;
  seq: number;
  hash: string;
  deferred_from: number | null;
  updated_at: Date;
  /** The compact range over the bodies up to seq. */
  tree: Buffer | null;
  sign_mode: ColumnType<'event' | 'batch', 'event' | 'batch' | undefined, never>;
}

export interface AuditEventsTable {
  chain: string;
  seq: number;
  id: string;
  event_type: string;
  ts: Date;
  actor_id: string;
  actor_kind: string;
  payload: ColumnType<Record<string, unknown>, string, never>;
  body: Buffer;
  hash: string;
  prev_hash: string;
  signature: string | null;
  signer_id: string | null;
  sign_mode: 'event' | 'batch' | 'deferred';
  batch_index: number | null;
  batch_size: number | null;
  batch_path: Buffer | null;
}

/** What people wrote in events, by the member of the payload that has the commitment. Written and erased by functions. */
export interface AuditPersonalTable {
  chain: string;
  seq: number;
  member: string;
  value: string;
  salt: Buffer;
  actor_id: string;
}

/** What audit.pruned events approved, and the leaf hashes that the trees still need of what is removed. */
export interface AuditPruningsTable {
  chain: string;
  to_seq: number;
  event_seq: number;
  hash: string;
  tree: Buffer;
  leaves: Buffer;
  log_size: number;
  created_at: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    audit_heads: AuditHeadsTable;
    audit_events: AuditEventsTable;
    audit_personal: AuditPersonalTable;
    audit_prunings: AuditPruningsTable;
  }
}
