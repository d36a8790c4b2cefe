import { type Selectable, sql } from 'kysely';

import type {} from '../audit/table.ts';
import type { Trx } from '../storage/database.ts';
import type { AuditHoldsTable } from './table.ts';

export type HoldRow = Selectable<AuditHoldsTable> & { readonly reason: string | null };

export async function chainExists(trx: Trx, chain: string): Promise<boolean> {
  const row = await trx.selectFrom('audit_heads').select('chain').where('chain', '=', chain).executeTakeFirst();
  return row !== undefined;
}

/** The hold on a chain, with its reason where that is not erased. */
export async function findHold(trx: Trx, chain: string): Promise<HoldRow | undefined> {
  return trx
    .selectFrom('audit_holds')
    .leftJoin('audit_personal', (join) =>
      join
        .onRef('audit_personal.chain', '=', 'audit_holds.chain')
        .onRef('audit_personal.seq', '=', 'audit_holds.seq')
        .on('audit_personal.member', '=', 'reason'),
    )
    .selectAll('audit_holds')
    .select('audit_personal.value as reason')
    .where('audit_holds.chain', '=', chain)
    .executeTakeFirst();
}

export async function insertHold(trx: Trx, hold: Selectable<AuditHoldsTable>): Promise<void> {
  await trx.insertInto('audit_holds').values(hold).execute();
}

export async function deleteHold(trx: Trx, chain: string): Promise<void> {
  await trx.deleteFrom('audit_holds').where('chain', '=', chain).execute();
}

/** Those of the positions at which the chain has an event. */
export async function existingEvents(trx: Trx, chain: string, seqs: readonly number[]): Promise<number[]> {
  const rows = await trx
    .selectFrom('audit_events')
    .select('seq')
    .where('chain', '=', chain)
    .where('seq', 'in', [...seqs])
    .execute();
  return rows.map((row) => row.seq);
}

/** Whose values are to go: those that an actor wrote, or those of events. */
export interface Doomed {
  readonly actorId: string | null;
  readonly events: readonly number[];
}

/** Deletes values of the workspace that the transaction has entered, at most `limit`, and the copies of them; how many. */
export async function eraseValues(trx: Trx, { actorId, events }: Doomed, limit: number): Promise<number> {
  const { rows } = await sql<{ erased: number }>`
    SELECT erased FROM audit_erase_personal(${actorId}, ${[...events]}::bigint[], ${limit})`.execute(trx);
  return rows[0]?.erased ?? 0;
}
