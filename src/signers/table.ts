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
  revoked_reason: ColumnType<string | null, undefined, string>;
  version: Generated<number>;
  created_at: Date;
  created_by: string;
  updated_at: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    signers: SignersTable;
  }
}
