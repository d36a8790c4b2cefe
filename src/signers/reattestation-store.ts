import { sql } from 'kysely';

import type {} from '../audit/table.ts';
import type {} from '../checkpoints/table.ts';
import type { Trx } from '../storage/database.ts';
import type { SignerRow } from './store.ts';

/** Replicas' clocks differ by less, so of two events the earlier one in its chain is dated at most this much later. */
const CLOCKS = '1 minute';

/** Outside of which what a compromised signer signed on one chain is in doubt. */
export interface Trust {
  readonly signerId: string;
  readonly upTo: Date | null;
  /** The last event that counts by the log of checkpoints; null: that says nothing. */
  readonly toSeq: number | null;
}

export async function trustOf(trx: Trx, chain: string, row: SignerRow): Promise<Trust> {
  const { signer_id: signerId, trusted_up_to, revoked_at, valid_to_size: size } = row;
  const upTo = trusted_up_to ?? revoked_at;
  if (size === null) return { signerId, upTo, toSeq: null };
  const { covered } = await trx
    .selectFrom('audit_checkpoint_entries')
    .select(({ fn }) => fn.max('size').as('covered'))
    .where('chain', '=', chain)
    .where('index', '<', size)
    .executeTakeFirstOrThrow();
  return { signerId, upTo, toSeq: covered ?? 0 };
}

/** The first of the doubtful events of the signer; undefined without any. */
export async function firstDoubtful(trx: Trx, chain: string, trust: Trust): Promise<number | undefined> {
  const ofSigner = sql`e.chain = ${chain} AND e.signer_id = ${trust.signerId}`;
  const bySize = trust.toSeq === null ? sql`false` : sql`e.seq > ${trust.toSeq}`;
  const late = trust.upTo === null ? sql`true` : sql`e.ts > ${trust.upTo}`;
  const { rows } = await sql<{ seq: number | null }>`
    SELECT least(
      (SELECT e.seq FROM audit_events e WHERE ${ofSigner} AND ${bySize} ORDER BY e.seq LIMIT 1),
      (SELECT min(e.seq) FROM audit_events e WHERE ${ofSigner} AND ${late} AND e.ts <= interval '${sql.raw(CLOCKS)}' + (
        SELECT e.ts FROM audit_events e WHERE ${ofSigner} AND ${late} ORDER BY e.ts LIMIT 1))
    ) AS seq`.execute(trx);
  return rows[0]?.seq ?? undefined;
}

/** The last of them from `from` on. */
export async function lastDoubtful(
  trx: Trx,
  chain: string,
  { signerId, upTo, toSeq }: Trust,
  from: number,
): Promise<{ seq: number; hash: string } | undefined> {
  return trx
    .selectFrom('audit_events')
    .select(['seq', 'hash'])
    .where('chain', '=', chain)
    .where('signer_id', '=', signerId)
    .where('seq', '>=', from)
    .where((is) =>
      is.or([upTo === null ? is.val(true) : is('ts', '>', upTo), ...(toSeq === null ? [] : [is('seq', '>', toSeq)])]),
    )
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Whether an event by a signer that is not compromised itself vouches for all up to `to`. */
export async function isVouchedFor(trx: Trx, chain: string, signerId: string, to: number): Promise<boolean> {
  const { rows } = await sql<{ there: boolean }>`
    SELECT EXISTS (
      SELECT FROM audit_events e JOIN signers s ON s.signer_id = e.signer_id AND s.state <> 'compromised'
      WHERE e.chain = ${chain} AND e.event_type = 'audit.range.reattested' AND e.seq > ${to}
        AND e.payload ->> 'signerId' = ${signerId} AND (e.payload ->> 'to')::bigint >= ${to}
    ) AS there`.execute(trx);
  return rows[0]?.there === true;
}
