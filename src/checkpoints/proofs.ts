import type { Static } from '@sinclair/typebox';

import { timestamp } from '../clock.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { parseCheckpoint } from '../transparency/checkpoint.ts';
import { type CompactRange, endsWith, rootOf } from '../transparency/compact-range.ts';
import { TransparencyError } from '../transparency/errors.ts';
import { leafHash } from '../transparency/merkle.ts';
import { parseNote } from '../transparency/note.ts';
import { consistencyProof, inclusionProof, rootAt } from '../transparency/proofs.ts';
import { TILE_WIDTH } from '../transparency/tile-path.ts';
import { coverOf } from '../transparency/tree-nodes.ts';
import { verifyConsistency, verifyInclusion } from '../transparency/verify-proof.ts';
import { entryBytes } from './entry.ts';
import { CheckpointError } from './errors.ts';
import type { CheckpointSchema, ConsistencySchema, InclusionSchema } from './schema.ts';
import { readEntry, readLeaves, readNewestNote } from './store.ts';
import { GLOBAL_TREE } from './tiles.ts';
import { storedTree } from './tree-reader.ts';

/**
 * What a checkpoint says of a chain. Every proof is verified before it is given: one that does not hold says that stored rows
 * were changed, and is AUDIT_UNAVAILABLE. NotFound where no checkpoint covers what is asked for.
 */
export interface CheckpointProofs {
  checkpoint(chain: string): Promise<Static<typeof CheckpointSchema>>;
  inclusion(chain: string, seq: number): Promise<Static<typeof InclusionSchema>>;
  /** Between two sizes of the chain, the later one covered. */
  consistency(chain: string, from: number, to: number): Promise<Static<typeof ConsistencySchema>>;
  /** What the newest note covers of a chain; undefined for nothing. */
  covered(chain: string): Promise<Covered | undefined>;
  /** The range over the first `to` events, which a note covers, and the hashes of the leaves in its last tile. */
  range(chain: string, to: number): Promise<{ readonly range: CompactRange; readonly leaves: readonly Buffer[] }>;
}

export interface Covered {
  /** Events of the chain. */
  readonly size: number;
  /** Entries of the log under the note. */
  readonly logSize: number;
}

export function createCheckpointProofs(storage: Storage): CheckpointProofs {
  return {
    checkpoint: (chain) => guarded(storage, (trx) => checkpointOf(trx, chain)),
    inclusion: (chain, seq) =>
      guarded(storage, async (trx) => {
        const checkpoint = await checkpointOf(trx, chain);
        const { size, root } = checkpoint.entry;
        if (seq > size) throw new NotFound();
        const index = seq - 1;
        const [leaf] = await readLeaves(trx, chain, index, seq);
        if (leaf === undefined) throw changed();
        const proof = await inclusionProof(index, size, storedTree(trx, chain, size));
        mustHold(verifyInclusion({ index, size, leafHash: leaf, proof, root: Buffer.from(root, 'base64') }));
        return { seq, leafHash: base64(leaf), proof: proof.map(base64), checkpoint };
      }),
    consistency: (chain, from, to) =>
      guarded(storage, async (trx) => {
        if (from > to) throw new ValidationFailed([{ pointer: '/query/from', detail: 'is past to' }]);
        const { entry } = await checkpointOf(trx, chain);
        if (to > entry.size) throw new NotFound();
        const tree = storedTree(trx, chain, entry.size);
        const [oldRoot, root] = [await rootAt(from, tree), await rootAt(to, tree)];
        const proof = await consistencyProof(from, to, tree);
        mustHold(verifyConsistency({ oldSize: from, size: to, oldRoot, root, proof }));
        const covering = await consistencyProof(to, entry.size, tree);
        const entryRoot = Buffer.from(entry.root, 'base64');
        mustHold(verifyConsistency({ oldSize: to, size: entry.size, oldRoot: root, root: entryRoot, proof: covering }));
        return { chain, from, to, fromRoot: base64(oldRoot), toRoot: base64(root), proof: proof.map(base64) };
      }),
    covered: (chain) =>
      guarded(storage, async (trx) => {
        const checkpoint = await checkpointIfAny(trx, chain);
        return checkpoint && { size: checkpoint.entry.size, logSize: checkpoint.size };
      }),
    range: (chain, to) =>
      guarded(storage, async (trx) => {
        const { entry } = await checkpointOf(trx, chain);
        if (to > entry.size) throw new NotFound();
        const tree = storedTree(trx, chain, entry.size);
        const hashes = await tree(coverOf({ begin: 0, end: to }));
        const range = { begin: 0, end: to, hashes: hashes.filter((hash) => hash !== undefined) };
        mustHold(range.hashes.length === hashes.length);
        const proof = await consistencyProof(to, entry.size, tree);
        const root = Buffer.from(entry.root, 'base64');
        mustHold(verifyConsistency({ oldSize: to, size: entry.size, oldRoot: rootOf(range), root, proof }));
        const leaves = await readLeaves(trx, chain, to - (to % TILE_WIDTH), to);
        mustHold(leaves.length === to % TILE_WIDTH && endsWith(range, leaves));
        return { range, leaves };
      }),
  };
}

async function checkpointOf(trx: Trx, chain: string): Promise<Static<typeof CheckpointSchema>> {
  const checkpoint = await checkpointIfAny(trx, chain);
  if (checkpoint === undefined) throw new NotFound();
  return checkpoint;
}

async function checkpointIfAny(trx: Trx, chain: string): Promise<Static<typeof CheckpointSchema> | undefined> {
  const newest = await readNewestNote(trx);
  if (newest === undefined) return undefined;
  const { note, signerId, createdAt } = newest;
  const { origin, size, rootHash } = parseCheckpoint(parseNote(note).text);
  const row = await readEntry(trx, chain, size);
  if (row === undefined) return undefined;
  const { index, root, entry } = row;
  mustHold(entryBytes({ chain, size: row.size, root }).equals(entry));
  const proof = await inclusionProof(index, size, storedTree(trx, GLOBAL_TREE, size));
  mustHold(verifyInclusion({ index, size, leafHash: leafHash(entry), proof, root: rootHash }));
  return {
    note,
    origin,
    size,
    root: base64(rootHash),
    signerId,
    createdAt: timestamp(createdAt.getTime()),
    entry: {
      index,
      chain,
      size: row.size,
      root: base64(root),
      entry: base64(entry),
      createdAt: timestamp(row.createdAt.getTime()),
      proof: proof.map(base64),
    },
  };
}

async function guarded<T>(storage: Storage, work: (trx: Trx) => Promise<T>): Promise<T> {
  try {
    return await storage.system(work);
  } catch (error) {
    throw error instanceof TransparencyError ? changed(error) : error;
  }
}

function mustHold(holds: boolean): void {
  if (!holds) throw changed();
}

function changed(cause?: unknown): CheckpointError {
  return new CheckpointError('AUDIT_UNAVAILABLE', 'the stored checkpoints do not fit the stored events', cause);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
