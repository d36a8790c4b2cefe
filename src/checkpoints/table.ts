export interface CheckpointEntriesTable {
  index: number;
  chain: string;
  size: number;
  root: Buffer;
  entry: Buffer;
  created_at: Date;
}

export interface CheckpointChainsTable {
  chain: string;
  size: number;
  tree: Buffer;
}

export interface CheckpointsTable {
  size: number;
  created_at: Date;
  note: string;
  signer_id: string;
}

export interface TilesTable {
  tree: string;
  level: number;
  index: number;
  hashes: Buffer;
  root: Buffer;
}

declare module '../storage/database.ts' {
  interface Database {
    audit_checkpoint_entries: CheckpointEntriesTable;
    audit_checkpoint_chains: CheckpointChainsTable;
    audit_checkpoints: CheckpointsTable;
    audit_tiles: TilesTable;
  }
}
