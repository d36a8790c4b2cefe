import { sql } from 'kysely';

import { EVENT_TYPES } from '../audit/event-types.ts';
import type {} from '../audit/table.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Trx } from '../storage/database.ts';

/** By name each: under row-level security no pattern reaches an index, and this is asked while the chain stands still. */
const SIGNER_EVENTS = Object.keys(EVENT_TYPES).filter((type) => type.startsWith('signer.'));

/** What of a chain decides how much of it may be removed, as of one moment. */
export interface Limits {
  readonly head: number;
  /** Up to where removal was approved before; 0 for never. */
  readonly approved: number;
  /** The newest event that vouches for the registry of signers; 0 without one. */
  readonly registry: number;
  readonly held: boolean;
}

/** Undefined where there is no such chain. */
export async function readLimits(trx: Trx, chain: string): Promise<Limits | undefined> {
  const { rows } = await sql<Limits>`
    SELECT h.seq AS head,
      coalesce((SELECT max(p.to_seq) FROM audit_prunings p WHERE p.chain = h.chain), 0) AS approved,
      coalesce((
        SELECT max(e.seq) FROM audit_events e
        WHERE h.chain = ${SYSTEM_CHAIN} AND e.chain = ${SYSTEM_CHAIN} AND e.event_type = ANY(${SIGNER_EVENTS}::text[])
          AND e.payload ->> 'registryDigest' IS NOT NULL
      ), 0) AS registry,
      EXISTS (SELECT FROM audit_holds x WHERE x.chain = h.chain) AS held
    FROM audit_heads h WHERE h.chain = ${chain}`.execute(trx);
  return rows[0];
}

/** The newest event up to `upTo` that is older than `before`; 0 for none. */
export async function lastBefore(trx: Trx, chain: string, before: Date, upTo: number): Promise<number> {
  const { seq } = await trx
    .selectFrom('audit_events')
    .select(({ fn }) => fn.max('seq').as('seq'))
    .where('chain', '=', chain)
    .where('ts', '<', before)
    .where('seq', '<=', upTo)
    .executeTakeFirstOrThrow();
  return seq === null ? 0 : Number(seq);
}

export async function hashAt(
  trx: Trx,
  chain: string,
  seq: number,
): Promise<{ hash: string; body: Buffer } | undefined> {
  return trx
    .selectFrom('audit_events')
    .select(['hash', 'body'])
    .where('chain', '=', chain)
    .where('seq', '=', seq)
    .executeTakeFirst();
}

export interface NewPruning {
  readonly chain: string;
  readonly to: number;
  readonly eventSeq: number;
  readonly hash: string;
  readonly tree: Buffer;
  readonly leaves: Buffer;
  readonly logSize: number;
  readonly createdAt: Date;
}

export async function insertPruning(trx: Trx, pruning: NewPruning): Promise<void> {
  const { chain, to, eventSeq, hash, tree, leaves, logSize, createdAt } = pruning;
  await trx
    .insertInto('audit_prunings')
    .values({
      chain,
      to_seq: to,
      event_seq: eventSeq,
      hash,
      tree,
      leaves,
      log_size: logSize,
      created_at: createdAt,
    })
    .execute();
}
