import type { ColumnType, Generated } from 'kysely';

import type { SignatureAlgorithm } from '../crypto/signer.ts';

export type SignerPurpose = 'audit' | 'proof' | 'manifest' | 'checkpoint';
export type SignerState = 'pending' | 'active' | 'retiring' | 'retired' | 'revoked' | 'compromised';

export interface SignersTable {
  signer_id: ColumnType<string, string, never>;
  alg: ColumnType<SignatureAlgorithm, SignatureAlgorithm, never>;
  /** SPKI PEM; null for a shared secret. */
  public_key: ColumnType<string | null, string | null, never>;
  purpose: ColumnType<SignerPurpose, SignerPurpose, never>;
  state: SignerState;
  not_before: Date | null;
  not_after: Date | null;
  revoked_at: ColumnType<Date | null, undefined, Date>;
  /** Why it was revoked, or is taken to be compromised. */
  revoked_reason: ColumnType<string | null, undefined, string>;
  trusted_up_to: ColumnType<Date | null, undefined, Date>;
  /** Sizes of the log of checkpoints; null: no bound. */
  valid_from_size: number | null;
  valid_to_size: ColumnType<number | null, undefined, number>;
  replaces: ColumnType<string | null, string | null, never>;
  /** An xid8, which only the database compares. */
  closing_xid: ColumnType<string | null, undefined, never>;
  version: Generated<number>;
  created_at: Date;
  created_by: string;
  updated_at: Date;
}

/** One row. */
interface SignerRegistryTable {
  one: Generated<boolean>;
  /** How many changes the registry has seen. */
  version: number;
}

declare module '../storage/database.ts' {
  interface Database {
    signers: SignersTable;
    signer_registry: SignerRegistryTable;
  }
}
