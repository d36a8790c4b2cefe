import type { ColumnType, Generated } from 'kysely';

export interface WorkspacesTable {
  id: string;
  display_name: string;
  state: Generated<'active' | 'suspended'>;
  settings: ColumnType<Record<string, unknown>, string | undefined, string>;
  created_at: Date;
  created_by: string;
  suspended_at: Date | null;
  suspended_by: string | null;
}

declare module '../storage/database.ts' {
  interface Database {
    workspaces: WorkspacesTable;
  }
}
