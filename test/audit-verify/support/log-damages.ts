import { randomBytes } from 'node:crypto';

import type { QueryResult } from 'pg';
import type { HonestWorld } from './honest-world.ts';
import { rewriteFrom } from './rewrite.ts';

export interface LogScene {
  readonly world: HonestWorld;
  /** On a connection for which the triggers are off. */
  query(sql: string, values?: unknown[]): Promise<QueryResult>;
  /** Free choice for the damage. */
  readonly pick: number;
}

export interface LogDamage {
  /** Begins with the class that has to be found. */
  readonly name: string;
  /** Changes what is stored; gives `chain seq class` of what must be found besides what is there anyway. */
  apply(scene: LogScene): Promise<string[]>;
}

/** A checkpoint or the registry is not asked for its own: nothing but these rows says what it was. */
const REGISTRY_EDITS = [
  `UPDATE signers SET state = 'retired' WHERE signer_id = 'proof-1'`,
  `UPDATE signers SET not_after = '2030-01-01' WHERE signer_id = 'proof-1'`,
  `UPDATE signers SET valid_to_size = 1 WHERE signer_id = 'proof-1'`,
  `UPDATE signers SET replaces = 'checkpoint-1' WHERE signer_id = 'proof-1'`,
  `UPDATE signers SET purpose = 'manifest' WHERE signer_id = 'proof-1'`,
  `DELETE FROM signers WHERE signer_id = 'proof-1'`,
  'UPDATE signer_registry SET version = version + 1',
  `INSERT INTO signers SELECT (jsonb_populate_record(s, '{"signer_id":"manifest-9","purpose":"manifest","public_key":"x"}')).*
    FROM signers s WHERE signer_id = 'proof-1'`,
];

/** What is done beside the rows of one chain: to the log of checkpoints, the heads and the registry; and to a chain and its head at once. */
export const LOG_DAMAGES: readonly LogDamage[] = [
  {
    name: 'projection-edited (registry)',
    async apply({ query, pick }) {
      const newest = `SELECT max(seq) AS seq FROM audit_events WHERE chain = '_system' AND payload ? 'registryDigest'`;
      const { seq } = await rowOf(query(newest));
      await query(REGISTRY_EDITS[pick % REGISTRY_EDITS.length] ?? '');
      return [`_system ${seq} projection-edited`];
    },
  },
  {
    name: 'projection-edited (tree of a head)',
    async apply({ query, pick }) {
      const { chain, seq, tree } = await oneOf(query, 'SELECT chain, seq, tree FROM audit_heads ORDER BY chain', pick);
      await query('UPDATE audit_heads SET tree = $2 WHERE chain = $1', [chain, flipped(tree, pick)]);
      return [`${chain} ${seq} projection-edited`];
    },
  },
  {
    name: 'projection-edited (column of an entry)',
    async apply({ query, pick }) {
      const { index } = await oneOf(query, ENTRIES, pick);
      const set = ['size = size + 1000000', `chain = 'elsewhere'`, 'root = sha256(root)'][pick % 3];
      await query(`UPDATE audit_checkpoint_entries SET ${set} WHERE index = $1`, [index]);
      return [`* ${Number(index) + 1} projection-edited`];
    },
  },
  {
    name: 'projection-edited (size of a note)',
    async apply({ query, pick }) {
      const { size } = await oneOf(query, NOTES, pick);
      // Sizes between two notes are free where a round entered more than one chain.
      const free = `SELECT s AS size FROM generate_series(1, (SELECT count(*) FROM audit_checkpoint_entries)) s
        WHERE s NOT IN (SELECT size FROM audit_checkpoints) ORDER BY 1`;
      const { size: other } = await oneOf(query, free, pick);
      await query('UPDATE audit_checkpoints SET size = $2 WHERE size = $1', [size, other]);
      return [`* ${other} projection-edited`];
    },
  },
  {
    name: 'signature-wrong (of a note)',
    async apply({ query, pick }) {
      const { size, note } = await oneOf(query, NOTES, pick);
      const signed = String(note);
      const at = signed.lastIndexOf(' ') + 1;
      const line = flipped(Buffer.from(signed.slice(at), 'base64').subarray(4), pick);
      const keyId = Buffer.from(signed.slice(at), 'base64').subarray(0, 4);
      const other = `${signed.slice(0, at)}${Buffer.concat([keyId, line]).toString('base64')}\n`;
      await query('UPDATE audit_checkpoints SET note = $2 WHERE size = $1', [size, other]);
      return [`* ${size} signature-wrong`];
    },
  },
  {
    name: 'gap (in the log of checkpoints)',
    async apply({ query, pick }) {
      const { index } = await oneOf(
        query,
        `${ENTRIES} LIMIT (SELECT count(*) - 1 FROM audit_checkpoint_entries)`,
        pick,
      );
      await query('DELETE FROM audit_checkpoint_entries WHERE index = $1', [index]);
      return [`* ${Number(index) + 1} gap`];
    },
  },
  {
    name: 'non-canonical (entry)',
    async apply({ query, pick }) {
      const { index } = await oneOf(query, ENTRIES, pick);
      const entry = [Buffer.from('{}'), randomBytes(40), Buffer.alloc(0)][pick % 3];
      await query('UPDATE audit_checkpoint_entries SET entry = $2 WHERE index = $1', [index, entry]);
      return [`* ${Number(index) + 1} non-canonical`];
    },
  },
  {
    name: 'backup-restored (the log of checkpoints)',
    async apply({ query, pick }) {
      const newest = 'SELECT max(index) AS index FROM audit_checkpoint_entries';
      const { index } = await rowOf(query(newest));
      const from = Math.max(Number(index) - (pick % 3), 0);
      await query('DELETE FROM audit_checkpoint_entries WHERE index >= $1', [from]);
      return [`* ${from + 1} backup-restored`];
    },
  },
  {
    name: 'backup-restored (a chain)',
    async apply({ world, query, pick }) {
      const { chain, seq, hash } = await oneOf(query, SIGNED_AND_COVERED, pick, plainChains(world));
      await query('DELETE FROM audit_events WHERE chain = $1 AND seq > $2', [chain, seq]);
      await query('DELETE FROM audit_personal WHERE chain = $1 AND seq > $2', [chain, seq]);
      // As the head was then: the event at seq is signed, and in the mode of its time.
      await query(
        `UPDATE audit_heads SET seq = $2, hash = $3, tree = NULL, deferred_from = NULL,
           sign_mode = (SELECT sign_mode FROM audit_events WHERE chain = $1 AND seq = $2) WHERE chain = $1`,
        [chain, seq, hash],
      );
      return [`${chain} ${Number(seq) + 1} backup-restored`];
    },
  },
  {
    name: 'history-rewritten (by who has every key)',
    async apply({ world, query, pick }) {
      const { chain, seq } = await oneOf(query, SIGNED_AND_COVERED, pick, plainChains(world));
      const keys = new Map(Array.from(world.states.keys(), (key) => [key.signerId, key.privateKeyPem]));
      await rewriteFrom(query, { chain: String(chain), seq: Number(seq), keys });
      const agreed = 'SELECT max(size) AS size FROM audit_checkpoint_entries WHERE chain = $1 AND size < $2';
      const { size } = await rowOf(query(agreed, [chain, seq]));
      return [`${chain} ${Number(size ?? 0) + 1} history-rewritten`];
    },
  },
];

const ENTRIES = 'SELECT index FROM audit_checkpoint_entries ORDER BY index';
const NOTES = 'SELECT size, note FROM audit_checkpoints ORDER BY size';
const SIGNED_AND_COVERED = `SELECT e.chain, e.seq, e.hash FROM audit_events e
  JOIN (SELECT chain, max(size) AS size FROM audit_checkpoint_entries GROUP BY 1) x ON x.chain = e.chain AND e.seq < x.size
  WHERE e.signature IS NOT NULL AND e.chain = ANY($1) ORDER BY e.chain, e.seq`;

/** Those with nothing open to be seen, so that a cut takes nothing along that was. */
function plainChains({ chains }: HonestWorld): string[] {
  const plain = Array.from(chains).filter(([chain, model]) => {
    const vouched = Array.from(model.doubtful.values()).some((seqs) => seqs.length > 0);
    return chain !== '_system' && model.approvals.length === 0 && model.erased.size === 0 && !vouched;
  });
  return plain.map(([chain]) => chain);
}

async function oneOf(query: LogScene['query'], sql: string, pick: number, among?: string[]) {
  const { rows } = await query(sql, among === undefined ? [] : [among]);
  const row: unknown = rows[pick % rows.length];
  if (typeof row !== 'object' || row === null) throw new Error(`nothing to damage: ${sql}`);
  return Object.assign(Object.create(null), row);
}

async function rowOf(result: Promise<QueryResult>) {
  return (await result).rows[0];
}

function flipped(bytes: Buffer, pick: number): Buffer {
  const other = Buffer.from(bytes);
  const at = pick % other.length;
  other.writeUInt8(other.readUInt8(at) ^ 1, at);
  return other;
}
