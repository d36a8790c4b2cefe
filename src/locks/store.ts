import type { Selectable } from 'kysely';

import type {} from '../audit/table.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { AccessLocksTable } from './table.ts';

export type StoredLock = Selectable<AccessLocksTable>;
export type LockRow = StoredLock & { readonly reason: string | null };

export async function insertLock(trx: Trx, lock: StoredLock): Promise<void> {
  await trx.insertInto('access_locks').values(lock).execute();
}

/** Undefined where there is no such lock. */
export async function findLock(trx: Trx, lockId: string): Promise<LockRow | undefined> {
  return withReasons(trx).where('access_locks.id', '=', lockId).executeTakeFirst();
}

/** The locks after `after`, by id. */
export async function listLocks(trx: Trx, page: { after: string | undefined; limit: number }): Promise<LockRow[]> {
  const locks = withReasons(trx).orderBy('access_locks.id').limit(page.limit);
  return (page.after === undefined ? locks : locks.where('access_locks.id', '>', page.after)).execute();
}

/** False when there was none. */
export async function deleteLock(trx: Trx, lockId: string): Promise<boolean> {
  const { numDeletedRows } = await trx.deleteFrom('access_locks').where('id', '=', lockId).executeTakeFirst();
  return numDeletedRows === 1n;
}

/** Rises with every change of the locks. */
export async function lockRevision(trx: Trx): Promise<number> {
  const { revision } = await trx
    .selectFrom('access_lock_revision')
    .select('revision')
    .where('chain', '=', SYSTEM_CHAIN)
    .executeTakeFirstOrThrow();
  return Number(revision);
}

/** All of them: what a replica keeps in mind. */
export async function everyLock(trx: Trx): Promise<Pick<StoredLock, 'serial' | 'principal_id' | 'expires_at'>[]> {
  return trx.selectFrom('access_locks').select(['serial', 'principal_id', 'expires_at']).execute();
}

function withReasons(trx: Trx) {
  return trx
    .selectFrom('access_locks')
    .leftJoin('audit_personal', (join) =>
      join
        .onRef('audit_personal.chain', '=', 'access_locks.chain')
        .onRef('audit_personal.seq', '=', 'access_locks.seq')
        .on('audit_personal.member', '=', 'reason'),
    )
    .selectAll('access_locks')
    .select('audit_personal.value as reason');
}
