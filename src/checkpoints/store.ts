import { sql } from 'kysely';
import { DatabaseError } from 'pg';

import type {} from '../audit/table.ts';
import { SignerError } from '../crypto/signer.ts';
import type { Trx } from '../storage/database.ts';
import { type Session, tableRoutine, voidRoutine } from '../storage/session.ts';
import { type CompactRange, encodeRange } from '../transparency/compact-range.ts';
import { splitHashes } from '../transparency/hash-list.ts';
import type { ChainCheckpoint } from './entry.ts';
import { CheckpointError } from './errors.ts';
import type {} from './table.ts';
import { GLOBAL_TREE, type Tile, tileName } from './tiles.ts';

const ENTER = voidRoutine('checkpoint_enter', 7);
const TILES = voidRoutine('checkpoint_tiles', 5);
const PUBLISH = tableRoutine('checkpoint_publish', 5);
const COSIGN = tableRoutine('checkpoint_cosign', 3);

/** SQLSTATEs of migrations/0010-checkpoints.ts. */
const SIGNER_NOT_ACTIVE = 'CA001';
const LOG_HAS_GROWN = 'CA005';
const OTHER_CONTENT = 'CA006';

/** A chain whose head is not at its newest entry. */
export interface GrownChain {
  readonly chain: string;
  /** Of the head; never more than a safe integer. */
  readonly seq: number;
  readonly headTree: Buffer | null;
  /** Of the newest entry; 0 when there is none. */
  readonly size: number;
  readonly root: Buffer | null;
  readonly entry: Buffer | null;
  /** What was kept with the newest entry. */
  readonly tree: Buffer | null;
}

/** The next chains by name, in code-unit order, that have events without a checkpoint. Any two of its columns may disagree. */
export async function readGrownChains(trx: Trx, after: string, limit: number): Promise<GrownChain[]> {
  const { rows } = await sql<GrownChain>`
    SELECT g.chain, g.seq, g."headTree", g.tree, coalesce(e.size, 0) AS size, e.root, e.entry
    FROM (
      SELECT h.chain, least(h.seq, ${Number.MAX_SAFE_INTEGER}) AS seq, h.tree AS "headTree", c.tree
      FROM audit_heads h LEFT JOIN audit_checkpoint_chains c ON c.chain = h.chain
      WHERE h.chain > ${after} COLLATE "C" AND h.seq <> coalesce(c.size, 0)
      ORDER BY h.chain COLLATE "C" LIMIT ${limit}
    ) g
    LEFT JOIN LATERAL (
      SELECT x.size, x.root, x.entry FROM audit_checkpoint_entries x WHERE x.chain = g.chain ORDER BY x.size DESC LIMIT 1
    ) e ON true
    ORDER BY g.chain COLLATE "C"`.execute(trx);
  return rows;
}

export interface StoredNote {
  readonly size: number;
  readonly createdAt: Date;
  readonly note: string;
  readonly signerId: string;
}

/** How many entries the log has, and its newest note. */
export async function readLog(trx: Trx): Promise<{ size: number; newest: StoredNote | undefined }> {
  const { rows } = await sql<{ size: number }>`
    SELECT coalesce(max(index) + 1, 0) AS size FROM audit_checkpoint_entries`.execute(trx);
  return { size: rows[0]?.size ?? 0, newest: await readNewestNote(trx) };
}

export async function readNewestNote(trx: Trx): Promise<StoredNote | undefined> {
  return trx
    .selectFrom('audit_checkpoints')
    .select(['size', 'created_at as createdAt', 'note', 'signer_id as signerId'])
    .orderBy('size', 'desc')
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The newest entry of the chain among the first `size` of the log. */
export async function readEntry(trx: Trx, chain: string, size: number) {
  return trx
    .selectFrom('audit_checkpoint_entries')
    .select(['index', 'size', 'root', 'entry', 'created_at as createdAt'])
    .where('chain', '=', chain)
    .where('index', '<', size)
    .orderBy('size', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Leaves `from` to before `to` of one tree. */
export interface LeafSpan {
  readonly chain: string;
  readonly from: number;
  readonly to: number;
}

/** The leaf hashes of each span of events, fewer where rows are missing. */
export async function readChainLeaves(trx: Trx, spans: readonly LeafSpan[]): Promise<ReadonlyMap<string, Buffer[]>> {
  if (spans.length === 0) return new Map();
  const { rows } = await sql<{ chain: string; hashes: Buffer }>`
    SELECT chain, hashes FROM audit_leaf_hashes(
      ${spans.map(({ chain }) => chain)}::text[], ${spans.map(({ from }) => from + 1)}::bigint[],
      ${spans.map(({ to }) => to)}::bigint[])`.execute(trx);
  return new Map(rows.map(({ chain, hashes }) => [chain, splitHashes(hashes)]));
}

/** Leaf hashes `from` to before `to`, of the bodies of a chain or of the entries of the log. */
export async function readLeaves(trx: Trx, tree: string, from: number, to: number): Promise<Buffer[]> {
  if (tree !== GLOBAL_TREE) return (await readChainLeaves(trx, [{ chain: tree, from, to }])).get(tree) ?? [];
  const { rows } = await sql<{ hashes: Buffer | null }>`
    SELECT string_agg(sha256('\\x00'::bytea || entry), ''::bytea ORDER BY index) AS hashes
    FROM audit_checkpoint_entries WHERE index >= ${from} AND index < ${to}`.execute(trx);
  return splitHashes(rows[0]?.hashes ?? Buffer.alloc(0));
}

interface TileName {
  readonly level: number;
  readonly index: number;
}

/** The hashes of full tiles by `level/index`. */
export async function readTiles(trx: Trx, tree: string, names: readonly TileName[]): Promise<Map<string, Buffer>> {
  const rows = await tilesByName(trx, tree, names, 'hashes');
  return new Map(rows.map(({ level, index, value }) => [tileName(level, index), value]));
}

/** The roots of full tiles by `level/index`. */
export async function readTileRoots(trx: Trx, tree: string, names: readonly TileName[]): Promise<Map<string, Buffer>> {
  const rows = await tilesByName(trx, tree, names, 'root');
  return new Map(rows.map(({ level, index, value }) => [tileName(level, index), value]));
}

async function tilesByName(trx: Trx, tree: string, names: readonly TileName[], column: 'hashes' | 'root') {
  if (names.length === 0) return [];
  const { rows } = await sql<TileName & { value: Buffer }>`
    SELECT t.level, t.index, ${sql.ref(`t.${column}`)} AS value
    FROM unnest(${names.map(({ level }) => level)}::integer[], ${names.map(({ index }) => index)}::bigint[]) AS u(level, index)
    JOIN audit_tiles t ON t.tree = ${tree} AND t.level = u.level AND t.index = u.index`.execute(trx);
  return rows;
}

/** A chain checkpoint to be entered, with the range it was made of. */
export interface NewEntry extends ChainCheckpoint {
  readonly entry: Buffer;
  readonly tree: CompactRange;
}

/** Enters them behind the first `after` entries. See `enterFailure`. */
export async function enter(
  session: Session,
  after: number,
  entries: readonly NewEntry[],
  tiles: readonly Tile[],
  now: number,
): Promise<void> {
  await session.call(ENTER, [
    after,
    entries.map(({ chain }) => chain),
    entries.map(({ size }) => size),
    entries.map(({ root }) => root),
    entries.map(({ entry }) => entry),
    entries.map(({ tree }) => encodeRange(tree)),
    new Date(now),
  ]);
  if (tiles.length === 0) return;
  await session.call(TILES, [
    tiles.map(({ tree }) => tree),
    tiles.map(({ level }) => level),
    tiles.map(({ index }) => index),
    tiles.map(({ hashes }) => Buffer.concat(hashes)),
    tiles.map(({ root }) => root),
  ]);
}

/** Stores a note; false when another replica has one that is as good. */
export async function publish(session: Session, note: StoredNote, olderThan: number): Promise<boolean> {
  const { size, note: text, signerId, createdAt } = note;
  const rows = await session.call<{ stored: boolean }>(PUBLISH, [size, text, signerId, createdAt, new Date(olderThan)]);
  return rows[0]?.stored === true;
}

/** The stored note with the signature lines of a witness behind it. */
export async function cosign(session: Session, stored: StoredNote, lines: string): Promise<StoredNote> {
  const rows = await session.call<{ note: string }>(COSIGN, [stored.size, stored.createdAt, lines]);
  return { ...stored, note: rows[0]?.note ?? stored.note };
}

/** Whether a write failed only because another replica was faster. */
export function isRaced(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === LOG_HAS_GROWN;
}

/** What the failure of a write means; any other error comes back as it is. */
export function writeFailure(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) return error;
  if (error.code === SIGNER_NOT_ACTIVE) {
    return new SignerError('the checkpoint signer is not active in the registry', { cause: error });
  }
  if (error.code === OTHER_CONTENT) return new CheckpointError('CHECKPOINT_INCONSISTENT', error.message, error);
  return error;
}
