import type { PoolClient } from 'pg';

import type { ChainHead } from './chain.ts';
import { GENESIS_HASH, type SealedEvent } from './event.ts';

interface HeadRow {
  seq: string | number;
  hash: string;
  deferred_from: string | number | null;
  updated_at: Date;
}

/** Takes the chain's row lock, so that the caller owns the next position until it commits. Undefined: no such chain. */
export async function lockHead(client: PoolClient, chain: string): Promise<ChainHead | undefined> {
  const { rows } = await client.query<HeadRow>({
    name: 'audit-lock-head',
    text: 'SELECT seq, hash, deferred_from, updated_at FROM audit_heads WHERE chain = $1 FOR UPDATE',
    values: [chain],
  });
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    chain,
    seq: Number(row.seq),
    hash: row.hash,
    deferredFrom: row.deferred_from === null ? null : Number(row.deferred_from),
    lastMs: row.updated_at.getTime(),
  };
}

/** What of an event its place in the chain rests on. */
export interface StoredEvent {
  readonly seq: number;
  readonly body: Buffer;
  readonly hash: string;
  readonly prevHash: string;
  readonly signature: string | null;
}

/** At most `limit` events from seq `from` on, in order. */
export async function readEvents(
  client: PoolClient,
  chain: string,
  from: number,
  limit: number,
): Promise<StoredEvent[]> {
  const { rows } = await client.query<StoredEvent>({
    name: 'audit-read-events',
    text: `SELECT seq, body, hash, prev_hash AS "prevHash", signature FROM audit_events
      WHERE chain = $1 AND seq >= $2 ORDER BY seq LIMIT $3`,
    values: [chain, from, limit],
  });
  return rows;
}

/** Creates the head of a new chain; undefined when another transaction did so first, which is committed by then. */
export async function createHead(client: PoolClient, chain: string): Promise<ChainHead | undefined> {
  const epoch = new Date(0);
  const { rowCount } = await client.query({
    name: 'audit-create-head',
    text: 'INSERT INTO audit_heads (chain, seq, hash, updated_at) VALUES ($1, 0, $2, $3) ON CONFLICT DO NOTHING',
    values: [chain, GENESIS_HASH, epoch],
  });
  if (rowCount !== 1) return undefined;
  return { chain, seq: 0, hash: GENESIS_HASH, deferredFrom: null, lastMs: epoch.getTime() };
}

/**
 * Stores signed (or deferred: null) events and moves the head over them, in one statement. False, and nothing stored,
 * when the signer is not an active audit signer in the registry at this moment.
 */
export async function insertEvents(
  client: PoolClient,
  chain: string,
  events: readonly SealedEvent[],
  signatures: readonly (string | null)[],
  head: { seq: number; hash: string; lastMs: number; deferredFrom: number | null },
): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'audit-insert-events',
    text: `WITH accepted AS (
        SELECT WHERE $18::text IS NULL OR EXISTS (
          SELECT FROM signers WHERE signer_id = $18 AND purpose = 'audit' AND state IN ('active', 'retiring')
            AND (not_before IS NULL OR not_before <= $17) AND (not_after IS NULL OR not_after > $17))
      ), inserted AS (
        INSERT INTO audit_events
          (chain, seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash, signature, signer_id, sign_mode)
        SELECT $1, e.seq, e.id, e.event_type, e.ts, e.actor_id, e.actor_kind, e.payload, e.body, e.hash, e.prev_hash,
          e.signature, e.signer_id, CASE WHEN e.signature IS NULL THEN 'deferred' ELSE 'event' END
        FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::jsonb[],
          $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[])
          AS e(seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash, signature, signer_id),
          accepted
      )
      UPDATE audit_heads SET seq = $14, hash = $15, deferred_from = $16, updated_at = $17
      WHERE chain = $1 AND EXISTS (SELECT FROM accepted)`,
    values: [
      chain,
      events.map((event) => event.seq),
      events.map((event) => event.id),
      events.map((event) => event.eventType),
      events.map((event) => event.ts),
      events.map((event) => event.actor.id),
      events.map((event) => event.actor.kind),
      events.map((event) => JSON.stringify(event.payload)),
      events.map((event) => event.body),
      events.map((event) => event.hash),
      events.map((event) => event.prevHash),
      signatures,
      events.map((event) => event.signerId),
      head.seq,
      head.hash,
      head.deferredFrom,
      new Date(head.lastMs),
      events[0]?.signerId ?? null,
    ],
  });
  return rowCount === 1;
}
