/** Who is locked out: one certificate by its serial number, or one principal. */
export interface AccessLocksTable {
  id: string;
  /** Always `_system`: a lock belongs to no workspace. */
  chain: string;
  /** Of its event, beside which the reason stands. */
  seq: number;
  serial: string | null;
  principal_id: string | null;
  placed_at: Date;
  placed_by: string;
  expires_at: Date | null;
}

/** One row; its revision rises with every change of the locks. */
export interface AccessLockRevisionTable {
  chain: string;
  revision: number;
}

declare module '../storage/database.ts' {
  interface Database {
    access_locks: AccessLocksTable;
    access_lock_revision: AccessLockRevisionTable;
  }
}
