import { DatabaseError, type PoolClient } from 'pg';

import { SignerError } from '../crypto/signer.ts';
import { IdempotencyConflict } from '../idempotency/errors.ts';
import { isUniqueViolation, StorageError } from '../storage/pg-errors.ts';
import { type Session, tableRoutine, voidRoutine } from '../storage/session.ts';
import { type CompactRange, decodeRange, emptyRange, encodeRange } from '../transparency/compact-range.ts';
import { TransparencyError } from '../transparency/errors.ts';
import { splitHashes } from '../transparency/hash-list.ts';
import type { ChainHead } from './chain.ts';
import { AuditError, StaleRead } from './errors.ts';
import { GENESIS_HASH, type SealedEvent } from './event.ts';
import type { RowSignatures, SigningModeName } from './signing-mode.ts';

const OPEN = tableRoutine('audit_open', 2);
const APPEND = voidRoutine('audit_append', 11);
const LEAF_HASHES = tableRoutine('audit_leaf_hashes', 3);

/** SQLSTATEs of migrations/0008-hot-paths.ts and 0011-batch-signing.ts. */
const SIGNER_NOT_ACTIVE = 'CA001';
const HEAD_MOVED = 'CA002';
const AGENT_GONE = 'CA003';
/** SQLSTATE of migrations/0009-kept-answers.ts. */
const ANSWER_KEPT = 'CA004';

const NOT_NULL_VIOLATION = '23502';
const POSITION_KEYS = ['audit_events_pkey', 'audit_events_chain_prev_hash_key'];

/**
 * Takes the row locks of chains in the order given, so that the caller owns their next positions until it commits. A chain
 * that does not exist is left out, and so is, without `wait`, one that someone else holds.
 */
export async function openHeads(
  session: Session,
  chains: readonly string[],
  wait: boolean,
): Promise<ReadonlyMap<string, ChainHead>> {
  const rows = await session.call<HeadRow>(OPEN, [chains, wait]);
  return new Map(rows.map((row) => [row.chain, headOf(row)]));
}

type HeadRow = {
  chain: string;
  seq: number;
  hash: string;
  deferred_from: number | null;
  updated_at: Date;
  tree: Buffer | null;
  sign_mode: SigningModeName;
};

function headOf(row: HeadRow): ChainHead {
  const { chain, seq, hash, tree } = row;
  return {
    chain,
    seq,
    hash,
    deferredFrom: row.deferred_from,
    lastMs: row.updated_at.getTime(),
    signMode: row.sign_mode,
    tree: fittingRange(tree, seq),
  };
}

function fittingRange(bytes: Buffer | null, seq: number): CompactRange | undefined {
  if (bytes === null) return seq === 0 ? emptyRange() : undefined;
  try {
    const range = decodeRange(bytes);
    return range.end === seq ? range : undefined;
  } catch (error) {
    if (error instanceof TransparencyError) return undefined;
    throw error;
  }
}

/** RFC 6962 leaf hashes of the events `from` to `to`, fewer where rows are missing. */
export async function readLeafHashes(session: Session, chain: string, from: number, to: number): Promise<Buffer[]> {
  const [row] = await session.call<{ events: number; hashes: Buffer }>(LEAF_HASHES, [[chain], [from], [to]]);
  return row === undefined ? [] : splitHashes(row.hashes);
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
  const [deferredFrom, signMode] = [null, 'event' as const];
  return { chain, seq: 0, hash: GENESIS_HASH, deferredFrom, lastMs: epoch.getTime(), signMode, tree: emptyRange() };
}

/** Events of one chain, and what the head says behind them. */
export interface Appended {
  readonly head: ChainHead;
  readonly events: readonly SealedEvent[];
  readonly deferredFrom: number | null;
  readonly lastMs: number;
  /** Over all bodies of the chain, these among them. */
  readonly tree: CompactRange;
}

/**
 * Stores the events behind their heads, each with its signature, and moves the heads over them; the rows' other columns are
 * read out of the bodies.
 * Fails when the signer is not an active audit signer in the registry at this moment. See appendFailure.
 */
export function appendEvents(
  session: Session,
  chains: readonly Appended[],
  { signatures, paths }: RowSignatures,
): Promise<unknown> {
  const events = chains.flatMap((chain) => chain.events);
  return session.call(APPEND, [
    chains.map((chain) => chain.head.chain),
    chains.map((chain) => chain.head.seq),
    chains.map((chain) => chain.events.length),
    chains.map((chain) => chain.deferredFrom),
    Buffer.concat(events.map((event) => event.body)),
    events.map((event) => event.body.length),
    signatures,
    events[0]?.signerId ?? null,
    chains.map((chain) => new Date(chain.lastMs)),
    chains.map((chain) => encodeRange(chain.tree)),
    paths,
  ]);
}

/** What the failure of a transaction that appended means; any other error comes back as it is. */
export function appendFailure(error: unknown): unknown {
  if (error instanceof StorageError && error.code === 'NUMBER_TOO_LARGE') return headDoesNotFit(error);
  if (!(error instanceof DatabaseError)) return error;
  if (error.code === SIGNER_NOT_ACTIVE) {
    return new SignerError('the audit signer is not active in the registry', { cause: error });
  }
  if (error.code === AGENT_GONE) return new StaleRead('the agent');
  if (error.code === ANSWER_KEPT) return new IdempotencyConflict();
  // The head says that a position is free which is taken: it was edited behind our back. Or its next event is not there.
  const hasNoEvent = error.code === NOT_NULL_VIOLATION && error.table === 'audit_heads';
  if (error.code === HEAD_MOVED || hasNoEvent || POSITION_KEYS.some((key) => isUniqueViolation(error, key))) {
    return headDoesNotFit(error);
  }
  return error;
}

function headDoesNotFit(cause: Error): AuditError {
  return new AuditError('AUDIT_UNAVAILABLE', 'the head of the chain does not fit its events', cause);
}
