import pg from 'pg';

import { SYSTEM_CHAIN } from '../ids.ts';
import { adminConnection } from '../storage/connection.ts';
import { leaseTrx, type Trx } from '../storage/database.ts';
import { asUnavailable } from '../storage/pg-errors.ts';
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

/** What `work` reads on the system chain, with any login that may. Rejects with StorageError when it cannot be read. */
export async function readOfSystem<T>(url: string, work: (trx: Trx) => Promise<T>): Promise<T> {
  const client = new pg.Client(adminConnection(url));
  // A connection that breaks also fails the statement under way, which is where it is reported.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('BEGIN READ ONLY');
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

async function becomeReader(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ role: string }>(
    `SELECT role FROM unnest($1::text[]) AS role WHERE pg_has_role(current_user, role, 'MEMBER')`,
    [READERS],
  );
  const role = READERS.find((name) => rows.some((row) => row.role === name));
  if (role !== undefined) await client.query(`SET LOCAL ROLE ${role}`);
  await client.query(`SELECT set_config('castellan.workspace', '${SYSTEM_CHAIN}', true)`);
}
