import type { Generated } from 'kysely';

export interface PolicyVersionsTable {
  workspace_id: string;
  version: number;
  policy_set: string;
  hash: string;
  bundle: Buffer;
  wasm: Buffer;
  wasm_sha256: string;
  compiler_version: string;
  packages: string[];
  created_at: Date;
  created_by: string;
  reason: string | null;
}

export interface PolicyHeadsTable {
  workspace_id: string;
  policy_set: string;
  version: number;
  hash: string;
  activation_seq: number;
  shadow_version: Generated<number | null>;
  shadow_hash: Generated<string | null>;
  shadow_seq: Generated<number | null>;
  activated_at: Date;
  activated_by: string;
  revision: number;
}

declare module '../storage/database.ts' {
  interface Database {
    policy_versions: PolicyVersionsTable;
    policy_heads: PolicyHeadsTable;
  }
}
