import { sql } from 'kysely';
import pg from 'pg';

import type {} from '../audit/table.ts';
import type { Digest } from '../crypto/digest.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import { adminConnection } from '../storage/connection.ts';
import { leaseTrx, type Trx } from '../storage/database.ts';
import { asUnavailable } from '../storage/pg-errors.ts';
import { registryDigest } from './canonical-registry.ts';
import type { SignerView } from './schema.ts';
import { listSigners } from './store.ts';
import { signerView } from './view.ts';

/** Roles that may read the registry, for a login that inherits nothing. */
const READERS = ['castellan_verifier', 'castellan_app'] as const;

/** The registry as in signers.json, read with any login that may. Rejects with StorageError when it cannot be read. */
export async function readRegistryOfDatabase(url: string): Promise<SignerView[]> {
  const rows = await readOfSystem(url, listSigners);
  return rows.map(signerView);
}

/** A signers.json with what vouches for it: the newest event about the registry names its version and digest. */
interface RegistryFile {
  readonly signers: readonly SignerView[];
  readonly version: number | null;
  readonly digest: Digest;
  readonly event: { readonly chain: string; readonly seq: number; readonly hash: string } | null;
}

/** `fits`: the newest event names just this registry; another one where it was edited past the service. */
export async function readRegistryExport(url: string): Promise<{ file: RegistryFile; fits: boolean }> {
  const { rows, newest, counted } = await readOfSystem(url, async (trx) => {
    return { rows: await listSigners(trx), newest: await newestRegistryEvent(trx), counted: await countedChanges(trx) };
  });
  const event = newest === undefined ? null : { chain: SYSTEM_CHAIN, seq: newest.seq, hash: newest.hash };
  const version = newest?.version ?? null;
  const file = { signers: rows.map(signerView), version, digest: registryDigest(rows), event };
  const fits = newest === undefined || (newest.digest === file.digest && newest.version === counted);
  return { file, fits };
}

/** What `work` reads on the system chain, with any login that may. Rejects with StorageError when it cannot be read. */
export async function readOfSystem<T>(url: string, work: (trx: Trx) => Promise<T>): Promise<T> {
  const client = new pg.Client(adminConnection(url));
  // A connection that breaks also fails the statement under way, which is where it is reported.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await becomeReader(client);
    const { trx, end } = leaseTrx(client);
    const value = await work(trx);
    end();
    return value;
  } catch (error) {
    throw asUnavailable(error) ?? error;
  } finally {
    await client.end();
  }
}

async function countedChanges(trx: Trx): Promise<number | undefined> {
  const row = await trx.selectFrom('signer_registry').select('version').executeTakeFirst();
  return row?.version;
}

async function newestRegistryEvent(
  trx: Trx,
): Promise<{ seq: number; hash: string; version: number; digest: string } | undefined> {
  return trx
    .selectFrom('audit_events')
    .select([
      'seq',
      'hash',
      sql<number>`(payload ->> 'registryVersion')::bigint`.as('version'),
      sql<string>`payload ->> 'registryDigest'`.as('digest'),
    ])
    .where('chain', '=', SYSTEM_CHAIN)
    .where('event_type', 'like', 'signer.%')
    .where(sql<boolean>`payload ->> 'registryDigest' IS NOT NULL`)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
}

async function becomeReader(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ role: string }>(
    `SELECT role FROM unnest($1::text[]) AS role WHERE pg_has_role(current_user, role, 'MEMBER')`,
    [READERS],
  );
  const role = READERS.find((name) => rows.some((row) => row.role === name));
  if (role !== undefined) await client.query(`SET LOCAL ROLE ${role}`);
  await client.query(`SELECT set_config('castellan.workspace', '${SYSTEM_CHAIN}', true)`);
}
