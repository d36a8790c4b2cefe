import { type Selectable, sql } from 'kysely';

import type { SignatureAlgorithm } from '../crypto/signer.ts';
import type { Trx } from '../storage/database.ts';
import type { SignerPurpose, SignersTable } from './table.ts';

export type SignerRow = Selectable<SignersTable>;

export interface NewSigner {
  readonly signerId: string;
  readonly alg: SignatureAlgorithm;
  readonly publicKey: string | null;
  readonly purpose: SignerPurpose;
  readonly notBefore: Date | null;
  readonly notAfter: Date | null;
  readonly createdBy: string;
}

export async function findSigner(trx: Trx, signerId: string): Promise<SignerRow | undefined> {
  return trx.selectFrom('signers').selectAll().where('signer_id', '=', signerId).executeTakeFirst();
}

/** The whole registry by signerId; it has a handful of rows. */
export async function listSigners(trx: Trx): Promise<SignerRow[]> {
  return trx.selectFrom('signers').selectAll().orderBy('signer_id').execute();
}

/** Adds an active signer; false, and nothing stored, when its id or its key is registered. On chain `_system` alone. */
export async function insertSigner(trx: Trx, signer: NewSigner, now: Date): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('signers')
    .values({
      signer_id: signer.signerId,
      alg: signer.alg,
      public_key: signer.publicKey,
      purpose: signer.purpose,
      state: 'active',
      not_before: signer.notBefore,
      not_after: signer.notAfter,
      created_at: now,
      created_by: signer.createdBy,
      updated_at: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

/** Ends the trust in a signer for good. On chain `_system` alone. */
export async function revokeSigner(trx: Trx, signerId: string, reason: string, now: Date): Promise<SignerRow> {
  return trx
    .updateTable('signers')
    .set({
      state: 'revoked',
      revoked_at: now,
      revoked_reason: reason,
      updated_at: now,
      version: sql<number>`version + 1`,
    })
    .where('signer_id', '=', signerId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Signers that are not trusted any more, and a number that rises with every change of the registry. */
export async function findRevocations(trx: Trx): Promise<{ revoked: string[]; revision: number }> {
  const { rows } = await sql<{ revoked: string[] | null; revision: string | number | null }>`
    SELECT array_agg(signer_id ORDER BY signer_id) FILTER (WHERE state IN ('revoked', 'compromised')) AS revoked,
      sum(version) AS revision
    FROM signers`.execute(trx);
  const [row] = rows;
  return { revoked: row?.revoked ?? [], revision: Number(row?.revision ?? 0) };
}
