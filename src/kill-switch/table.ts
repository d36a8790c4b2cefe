export interface KillSwitchesTable {
  workspace_id: string;
  agent_id: string;
  engaged_at: Date;
  engaged_by: string;
  seq: number;
}

declare module '../storage/database.ts' {
  interface Database {
    kill_switches: KillSwitchesTable;
  }
}
