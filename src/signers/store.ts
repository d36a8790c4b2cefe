import { type Selectable, sql, type Updateable } from 'kysely';

import type { SignatureAlgorithm } from '../crypto/signer.ts';
import type { Trx } from '../storage/database.ts';
import type { SignerPurpose, SignerState, SignersTable } from './table.ts';

export type SignerRow = Selectable<SignersTable>;

export interface NewSigner {
  readonly signerId: string;
  readonly alg: SignatureAlgorithm;
  readonly publicKey: string | null;
  readonly purpose: SignerPurpose;
  readonly notBefore: Date | null;
  readonly notAfter: Date | null;
  readonly createdBy: string;
  /** Pending until it is put in the place of that one; else in force at once. */
  readonly replaces?: string;
}

export async function findSigner(trx: Trx, signerId: string): Promise<SignerRow | undefined> {
  return trx.selectFrom('signers').selectAll().where('signer_id', '=', signerId).executeTakeFirst();
}

/** The whole registry by signerId; it has a handful of rows. */
export async function listSigners(trx: Trx): Promise<SignerRow[]> {
  return trx.selectFrom('signers').selectAll().orderBy('signer_id').execute();
}

/** States of the signers of a purpose, but for one. */
export async function statesOfOthers(trx: Trx, purpose: SignerPurpose, signerId: string): Promise<SignerState[]> {
  const rows = await trx
    .selectFrom('signers')
    .select('state')
    .where('purpose', '=', purpose)
    .where('signer_id', '<>', signerId)
    .execute();
  return rows.map(({ state }) => state);
}

/** Of the other active signers of a purpose the one that was registered last. */
export async function newestActive(trx: Trx, purpose: SignerPurpose, signerId: string): Promise<string | undefined> {
  const row = await trx
    .selectFrom('signers')
    .select('signer_id')
    .where('purpose', '=', purpose)
    .where('state', '=', 'active')
    .where('signer_id', '<>', signerId)
    .orderBy('created_at', 'desc')
    .orderBy('signer_id')
    .executeTakeFirst();
  return row?.signer_id;
}

/** Adds a signer; false, and nothing stored, when its id or its key is registered. On chain `_system` alone. */
export async function insertSigner(trx: Trx, signer: NewSigner, now: Date): Promise<boolean> {
  const isPending = signer.replaces !== undefined;
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('signers')
    .values({
      signer_id: signer.signerId,
      alg: signer.alg,
      public_key: signer.publicKey,
      purpose: signer.purpose,
      state: isPending ? 'pending' : 'active',
      not_before: signer.notBefore,
      not_after: signer.notAfter,
      valid_from_size: isPending ? null : await firstSize(trx, signer.purpose, signer.signerId),
      replaces: signer.replaces ?? null,
      created_at: now,
      created_by: signer.createdBy,
      updated_at: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

type Change = Updateable<Omit<SignersTable, 'version' | 'updated_at' | 'created_at' | 'created_by'>>;

/** Changes a row that is there. On chain `_system` alone. */
export async function changeSigner(trx: Trx, signerId: string, change: Change, now: Date): Promise<SignerRow> {
  return trx
    .updateTable('signers')
    .set({ ...change, updated_at: now, version: sql<number>`version + 1` })
    .where('signer_id', '=', signerId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Behind which size of the log a signer counts that comes into force now; null for the first of its purpose, or without a log. */
export async function firstSize(trx: Trx, purpose: SignerPurpose, signerId: string): Promise<number | null> {
  const others = await statesOfOthers(trx, purpose, signerId);
  return others.some((state) => state !== 'pending') ? logSize(trx, null) : null;
}

/** Entries of the log of checkpoints, or those it had at a moment; null when there is no log. */
export async function logSize(trx: Trx, at: Date | null): Promise<number | null> {
  const { rows } = await sql<{ size: number | null }>`SELECT checkpoint_log_size(${at}) AS size`.execute(trx);
  return rows[0]?.size ?? null;
}

export interface EventPlace {
  readonly chain: string;
  readonly seq: number;
}

/** Whether an event is in the first `size` entries of the log of checkpoints; in a transaction of its chain. */
export async function isInLog(trx: Trx, { chain, seq }: EventPlace, size: number): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`SELECT EXISTS (
    SELECT FROM audit_checkpoint_entries WHERE chain = ${chain} AND size >= ${seq} AND index < ${size}) AS found`.execute(
    trx,
  );
  return rows[0]?.found === true;
}

/** Counts a change of the registry, and says which one it is. */
export async function nextRegistryVersion(trx: Trx): Promise<number> {
  const { version } = await trx
    .updateTable('signer_registry')
    .set({ version: sql<number>`version + 1` })
    .returning('version')
    .executeTakeFirstOrThrow();
  return version;
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
