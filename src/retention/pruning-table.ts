/** What audit.pruned events approved, and the leaf hashes that the trees still need. */
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
    audit_prunings: AuditPruningsTable;
  }
}
