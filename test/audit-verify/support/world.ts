import { createHash, sign } from 'node:crypto';

import type { Client } from 'pg';

import { mth } from '../../transparency/support/reference.ts';
import { canonicalBody, history, insertChain, insertSigner, type Row, type Step, setHead } from './history.ts';
import { type TestSigner, testSigner } from './keys.ts';

export const ORIGIN = 'log.test';

export interface Entry {
  readonly chain: string;
  readonly size: number;
  readonly root: Buffer;
  readonly bytes: Buffer;
}

export interface Note {
  readonly size: number;
  readonly text: string;
}

/** All that a database holds of a log: chains, the log of checkpoints over them, and its notes. */
export interface World {
  chains: Map<string, Row[]>;
  entries: Entry[];
  notes: Note[];
}

/** Chain → size at each round. */
export type Rounds = readonly ReadonlyMap<string, number>[];

export const audit = testSigner('audit');
export const checkpoint: TestSigner = { ...testSigner('checkpoint'), purpose: 'checkpoint' };

export function worldOf(histories: ReadonlyMap<string, readonly Step[]>, rounds: Rounds, signer = checkpoint): World {
  const chains = new Map(Array.from(histories, ([name, steps]) => [name, history(name, steps)]));
  return { chains, ...logOver(chains, rounds, signer) };
}

/** The log of checkpoints that honest rounds make over these chains. */
export function logOver(chains: ReadonlyMap<string, readonly Row[]>, rounds: Rounds, signer = checkpoint) {
  const entries: Entry[] = [];
  const notes: Note[] = [];
  const sizes = new Map<string, number>();
  for (const round of rounds) {
    for (const [chain, size] of [...round].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (size <= (sizes.get(chain) ?? 0)) continue;
      sizes.set(chain, size);
      entries.push(entryOf(chain, size, mth((chains.get(chain) ?? []).slice(0, size).map(({ body }) => body))));
    }
    if (entries.length > (notes.at(-1)?.size ?? 0)) notes.push(noteOver(entries, signer));
  }
  return { entries, notes };
}

export function entryOf(chain: string, size: number, root: Buffer): Entry {
  return { chain, size, root, bytes: canonicalBody({ chain, root: root.toString('base64'), size, v: 1 }) };
}

/** A note over all these entries, by the rules of C2SP written down here a second time. */
export function noteOver(entries: readonly Entry[], signer = checkpoint, origin = ORIGIN): Note {
  const root = mth(entries.map(({ bytes }) => bytes)).toString('base64');
  return { size: entries.length, text: signed(`${origin}\n${entries.length}\n${root}\n`, signer, origin) };
}

export function signed(text: string, signer: TestSigner, name = ORIGIN): string {
  const line = Buffer.concat([keyId(signer, name), sign(null, Buffer.from(text), signer.privateKey)]);
  return `${text}\n— ${name} ${line.toString('base64')}\n`;
}

/** `name+hash+key` */
export function verifierKey(signer: TestSigner, name = ORIGIN): string {
  return `${name}+${keyId(signer, name).toString('hex')}+${encoded(signer).toString('base64')}`;
}

export function keyId(signer: TestSigner, name: string): Buffer {
  return createHash('sha256').update(`${name}\n`).update(encoded(signer)).digest().subarray(0, 4);
}

function encoded({ publicKey }: TestSigner): Buffer {
  const der = Buffer.from((publicKey ?? '').replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  return Buffer.concat([Buffer.from([1]), der.subarray(-32)]);
}

/** As a head keeps its tree: the size, and the roots of the complete subtrees from the largest on. */
export function treeBytes(rows: readonly Row[]): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(rows.length));
  const parts: Buffer[] = [size];
  let at = 0;
  for (let span = 2 ** 30; span >= 1; span /= 2) {
    if (rows.length - at < span) continue;
    parts.push(mth(rows.slice(at, at + span).map(({ body }) => body)));
    at += span;
  }
  return Buffer.concat(parts);
}

/** Puts this world in the place of whatever the database held. The triggers are off. */
export async function store(client: Client, { chains, entries, notes }: World): Promise<void> {
  await client.query(`SET session_replication_role = replica;
    DELETE FROM audit_events; DELETE FROM audit_heads; DELETE FROM workspaces; DELETE FROM signers;
    DELETE FROM audit_checkpoint_entries; DELETE FROM audit_checkpoints`);
  await insertSigner(client, audit);
  await insertSigner(client, checkpoint);
  for (const [chain, rows] of chains) {
    const last = rows.at(-1);
    if (last === undefined) continue;
    await insertChain(client, rows);
    await setHead(client, last);
    await client.query('UPDATE audit_heads SET tree = $2 WHERE chain = $1', [chain, treeBytes(rows)]);
  }
  for (const [index, { chain, size, root, bytes }] of entries.entries()) {
    await client.query(
      'INSERT INTO audit_checkpoint_entries (index, chain, size, root, entry, created_at) VALUES ($1, $2, $3, $4, $5, now())',
      [index, chain, size, root, bytes],
    );
  }
  for (const { size, text } of notes) {
    await client.query(
      'INSERT INTO audit_checkpoints (size, created_at, note, signer_id) VALUES ($1, clock_timestamp(), $2, $3)',
      [size, text, checkpoint.signerId],
    );
  }
}
