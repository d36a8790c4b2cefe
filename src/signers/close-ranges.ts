import { sql } from 'kysely';

import type { AuditAppender, UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { appendRegistryEvent } from './registry-event.ts';
import { changeSigner, findSigner, logSize } from './store.ts';

const ACTOR: Actor = { id: 'castellan', kind: 'system' };

export interface CloseRangesOptions {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  /** Makes checkpoints of whatever has grown. */
  readonly round: (signal: AbortSignal) => Promise<void>;
}

/**
 * One round of saying up to which size of the log a retired or revoked signer has signed: a signature that appears behind
 * it is by somebody who has the key still. Nothing is held in memory between the steps, so that any replica goes on with
 * any of them, and each is taken once.
 */
export async function closeRanges({ storage, audit, round }: CloseRangesOptions, signal: AbortSignal): Promise<void> {
  const open = await storage.read(SYSTEM_CHAIN, findOpen);
  if (open.length === 0) return;
  // Without an event: it is a note to ourselves, and needs no signer.
  await audit.commit({ chain: SYSTEM_CHAIN, brake: true, work: ({ trx }) => stamp(trx, open) });
  const ended = await storage.read(SYSTEM_CHAIN, findEnded);
  if (ended.length === 0 || signal.aborted) return;
  await round(signal);
  for (const signerId of ended) {
    // Another replica was at the log, or a chain has no new checkpoint because its rows were changed: next time.
    if (await storage.read(SYSTEM_CHAIN, (trx) => isUncovered(trx, signerId))) continue;
    await audit.commit({ chain: SYSTEM_CHAIN, work: (scope) => close(scope, signerId) });
  }
}

const OPEN = sql`state IN ('retired', 'revoked') AND valid_to_size IS NULL`;

async function findOpen(trx: Trx): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`SELECT signer_id AS id FROM signers WHERE ${OPEN}`.execute(trx);
  return rows.map(({ id }) => id);
}

/**
 * Of signers that were seen out of force before this transaction got its id. Whoever saw one in force, in the check of
 * audit_append, had its own id by then, which is below this one: it had locked the head of its chain. (Not
 * pg_snapshot_xmax: that is behind the highest id that has ended, and a transaction above it may be under way.) A stamp above
 * all ids is of a server that this database was restored from.
 */
async function stamp(trx: Trx, open: readonly string[]): Promise<void> {
  await sql`UPDATE signers SET closing_xid = pg_current_xact_id()
    WHERE ${OPEN} AND signer_id = ANY(${[...open]}::text[])
      AND (closing_xid IS NULL OR closing_xid >= pg_snapshot_xmax(pg_current_snapshot()))`.execute(trx);
}

/** Open ones that no transaction signs with any more. */
async function findEnded(trx: Trx): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`SELECT signer_id AS id FROM signers
    WHERE ${OPEN} AND closing_xid <= pg_snapshot_xmin(pg_current_snapshot()) ORDER BY 1`.execute(trx);
  return rows.map(({ id }) => id);
}

async function isUncovered(trx: Trx, signerId: string): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`SELECT signer_is_uncovered(${signerId}) AS found`.execute(trx);
  return rows[0]?.found !== false;
}

async function close(scope: UnitScope, signerId: string): Promise<void> {
  const row = await findSigner(scope.trx, signerId);
  // Somebody was faster, or has found out that the key was in other hands.
  if (row === undefined || row.valid_to_size !== null || !['retired', 'revoked'].includes(row.state)) return;
  const validToSize = await logSize(scope.trx, null);
  if (validToSize === null) return;
  await changeSigner(scope.trx, signerId, { valid_to_size: validToSize }, new Date(scope.now));
  const { purpose } = row;
  await appendRegistryEvent(scope, {
    type: 'signer.range.closed',
    actor: ACTOR,
    payload: { signerId, purpose, validToSize },
  });
}
