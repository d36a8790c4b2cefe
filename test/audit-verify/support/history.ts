import { createHash, randomUUID } from 'node:crypto';

import canonicalize from 'canonicalize';
import type { Client } from 'pg';

import { type Batch, inTransactions, signedTogether } from './batches.ts';
import { signHash, type TestSigner } from './keys.ts';

const GENESIS = '0'.repeat(64);
/** An hour before now would do as well; fixed, so that a failing history can be read again. */
export const EPOCH = Date.UTC(2026, 5, 1, 12, 0, 0);

export interface Row {
  chain: string;
  seq: number;
  id: string;
  eventType: string;
  ts: string;
  actor: { id: string; kind: string };
  payload: unknown;
  body: Buffer;
  hash: string;
  prevHash: string;
  signature: string | null;
  signerId: string | null;
  signMode: string;
  batch?: Batch | undefined;
}

export interface Step {
  type?: string;
  payload?: unknown;
  /** null: a deferred event. */
  signer: TestSigner | null;
  /** ms after EPOCH. */
  at?: number;
  prevHash?: string;
  seq?: number;
  /** Default: event. */
  mode?: 'event' | 'batch';
  /** Steps of one number that follow each other are signed together, in mode batch. */
  tx?: number;
  /** Events of other chains in the transaction. */
  others?: number;
}

/** One event at the end of `rows`, honestly hashed and signed by rules written down here a second time. */
export function event(chain: string, rows: readonly Row[], step: Step): Row {
  const seq = step.seq ?? rows.length + 1;
  const prevHash = step.prevHash ?? rows.at(-1)?.hash ?? GENESIS;
  const id = randomUUID();
  const eventType = step.type ?? 'agent.created';
  const ts = new Date(EPOCH + (step.at ?? seq * 100)).toISOString();
  const actor = { id: `p-${seq % 3}`, kind: 'human' };
  const payload = step.payload ?? { agentId: id };
  const signerId = step.signer?.signerId ?? null;
  const body = canonicalBody({ v: 1, chain, seq, id, eventType, ts, actor, payload, prevHash, signerId });
  const hash = sha256(body);
  const signature = step.signer === null ? null : signHash(step.signer.privateKey, hash);
  const signMode = step.signer === null ? 'deferred' : 'event';
  const row = { chain, seq, id, eventType, ts, actor, payload, body, hash, prevHash, signature, signerId, signMode };
  return step.mode === 'batch' && step.signer !== null ? alone(row, step.signer, step.others) : row;
}

function alone(row: Row, signer: TestSigner, others: number | undefined): Row {
  return signedTogether([row], signer, others)[0] ?? row;
}

export function history(chain: string, steps: readonly Step[]): Row[] {
  const rows: Row[] = [];
  for (const step of steps) rows.push(event(chain, rows, step));
  return inTransactions(rows, steps);
}

export function canonicalBody(value: object): Buffer {
  return Buffer.from(canonicalize(value) ?? '', 'utf8');
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export async function insertRows(client: Client, rows: readonly Row[]): Promise<void> {
  await client.query(
    `INSERT INTO audit_events (chain, seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash,
      signature, signer_id, sign_mode, batch_index, batch_size, batch_path)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[], $7::text[],
      $8::jsonb[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
      $15::integer[], $16::integer[], $17::bytea[])`,
    [
      rows.map((row) => row.chain),
      rows.map((row) => row.seq),
      rows.map((row) => row.id),
      rows.map((row) => row.eventType),
      rows.map((row) => row.ts),
      rows.map((row) => row.actor.id),
      rows.map((row) => row.actor.kind),
      rows.map((row) => JSON.stringify(row.payload)),
      rows.map((row) => row.body),
      rows.map((row) => row.hash),
      rows.map((row) => row.prevHash),
      rows.map((row) => row.signature),
      rows.map((row) => row.signerId),
      rows.map((row) => row.signMode),
      rows.map((row) => row.batch?.index),
      rows.map((row) => row.batch?.size),
      rows.map((row) => row.batch?.path),
    ],
  );
}

/** A workspace with its events and its head. */
export async function insertChain(client: Client, rows: readonly Row[]): Promise<void> {
  const last = rows.at(-1);
  if (last === undefined) throw new Error('a history has at least one event');
  if (last.chain !== '_system') {
    await client.query('INSERT INTO workspaces (id, display_name, created_at, created_by) VALUES ($1, $1, $2, $3)', [
      last.chain,
      last.ts,
      'p-0',
    ]);
  }
  await insertRows(client, rows);
  await setHead(client, last, headState(rows));
}

/** What a head says besides its event: where unsigned events begin that wait for their cover, and the signing mode. */
function headState(rows: readonly Row[]): { deferredFrom: number | null; signMode: string } {
  const signed = rows.findLastIndex((row) => row.signMode !== 'deferred');
  return { deferredFrom: rows[signed + 1]?.seq ?? null, signMode: rows[signed]?.signMode ?? 'event' };
}

/** Without `state` what the row alone says: an unsigned one comes behind those that already wait. */
export async function setHead(client: Client, row: Row, state?: ReturnType<typeof headState>): Promise<void> {
  const { chain, seq, hash, ts, signMode } = row;
  await client.query(
    `INSERT INTO audit_heads AS h (chain, seq, hash, updated_at, deferred_from, sign_mode)
      VALUES ($1, $2, $3, $4, $5, coalesce($6, 'event'))
      ON CONFLICT (chain) DO UPDATE SET seq = $2, hash = $3, updated_at = $4, sign_mode = coalesce($6, h.sign_mode),
        deferred_from = CASE WHEN $7 THEN $5 WHEN $5::bigint IS NULL THEN NULL ELSE coalesce(h.deferred_from, $5) END`,
    [
      chain,
      seq,
      hash,
      ts,
      state === undefined ? (signMode === 'deferred' ? seq : null) : state.deferredFrom,
      state?.signMode ?? (signMode === 'deferred' ? null : signMode),
      state !== undefined,
    ],
  );
}

export async function insertSigner(client: Client, signer: TestSigner): Promise<void> {
  await client.query(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, not_before, not_after, revoked_at, trusted_up_to,
      valid_from_size, valid_to_size, replaces, created_at, created_by, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now(), 'test', now())`,
    [
      signer.signerId,
      signer.alg,
      signer.publicKey,
      signer.purpose,
      signer.state,
      signer.notBefore,
      signer.notAfter,
      signer.revokedAt,
      signer.trustedUpTo,
      signer.validFromSize,
      signer.validToSize,
      signer.replaces,
    ],
  );
}
