export interface TemplatesTable {
  workspace_id: string;
  id: string;
  version: number;
  updated_at: Date;
}

export interface TemplateVersionsTable {
  workspace_id: string;
  template_id: string;
  version: number;
  name: string;
  config_bytes: Buffer;
  config_hash: string;
  created_at: Date;
  created_by: string;
}

declare module '../storage/database.ts' {
  interface Database {
    templates: TemplatesTable;
    template_versions: TemplateVersionsTable;
  }
}
