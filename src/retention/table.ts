/** Chains of which nothing may be erased or pruned. The reason stands where all reasons do, by the seq of its event. */
export interface AuditHoldsTable {
  chain: string;
  seq: number;
  placed_at: Date;
  placed_by: string;
}

declare module '../storage/database.ts' {
  interface Database {
    audit_holds: AuditHoldsTable;
  }
}
