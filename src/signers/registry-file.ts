import pg from 'pg';

import { adminConnection } from '../storage/connection.ts';
import { leaseTrx } from '../storage/database.ts';
import { asUnavailable } from '../storage/pg-errors.ts';
import type { SignerView } from './schema.ts';
import { listSigners } from './store.ts';
import { signerView } from './view.ts';

/** Roles that may read the registry, for a login that inherits nothing. */
const READERS = ['castellan_verifier', 'castellan_app'] as const;

/** The registry as in signers.json, read with any login that may. Rejects with StorageError when it cannot be read. */
export async function readRegistryOfDatabase(url: string): Promise<SignerView[]> {
  const client = new pg.Client(adminConnection(url));
  // A connection that breaks also fails the statement under way, which is where it is reported.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('BEGIN READ ONLY');
    await becomeReader(client);
    const { trx, end } = leaseTrx(client);
    const rows = await listSigners(trx);
    end();
    return rows.map(signerView);
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
}
