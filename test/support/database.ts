import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { QueryResult } from 'pg';

import { createStorage, type Storage } from '../../src/storage/storage.ts';
import { databaseUrl, LOGINS, quiet, type Tap, templateDatabase, testServerUrl, withClient } from './postgres.ts';

/** ms; connections that were closed need a moment to disappear on the server. */
const CLOSED_WITHIN_MS = 3000;

export interface TestDatabase {
  readonly name: string;
  /** Row-level security does not bind it: for looking, and for tampering. */
  readonly superuserUrl: string;
  /** For `migrate`. */
  readonly ownerUrl: string;
  readonly appUrl: string;
  readonly systemUrl: string;
  /** One statement as the superuser. */
  query(sql: string, params?: unknown[]): Promise<QueryResult>;
  /** Drops the database; rejects when connections to it are still open. Also done at teardown. */
  drop(): Promise<void>;
}

/** A migrated database of the test's own, dropped at teardown. A connection left open fails the test. */
export async function testDatabase(
  test: Tap,
  options: { serverUrl?: string; empty?: boolean } = {},
): Promise<TestDatabase> {
  const serverUrl = options.serverUrl ?? (await testServerUrl());
  const template = options.empty === true ? 'template1' : await templateDatabase(serverUrl);
  const name = `castellan_test_${randomBytes(6).toString('hex')}`;
  await withClient(serverUrl, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  const superuserUrl = databaseUrl(serverUrl, name);

  let dropped: Promise<void> | undefined;
  const drop = (): Promise<void> => {
    dropped ??= dropDatabase(serverUrl, name);
    return dropped;
  };
  test.teardown(drop);
  return {
    name,
    superuserUrl,
    ownerUrl: superuserUrl,
    appUrl: databaseUrl(serverUrl, name, LOGINS.app),
    systemUrl: databaseUrl(serverUrl, name, LOGINS.system),
    query: (sql, params) => withClient(superuserUrl, (client) => client.query(sql, params)),
    drop,
  };
}

/** A storage over a test database, closed before the database is dropped. */
export function testStorage(test: Tap, database: TestDatabase, poolSize = 4): Storage {
  const { appUrl, systemUrl } = database;
  const storage = createStorage({ appUrl, systemUrl, poolSize, applicationName: 'castellan-test', logger: quiet });
  test.teardown(() => storage.close());
  return storage;
}

async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await withClient(serverUrl, async (client) => {
    const left = async (): Promise<string[]> => {
      const { rows } = await client.query<{ who: string }>(
        `SELECT format('%s as %s: %s', application_name, usename, query) AS who FROM pg_stat_activity
         WHERE datname = $1 AND backend_type = 'client backend'`,
        [name],
      );
      return rows.map((row) => row.who);
    };
    const deadline = Date.now() + CLOSED_WITHIN_MS;
    let open = await left();
    while (open.length > 0 && Date.now() < deadline) {
      await delay(20);
      open = await left();
    }
    await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
    if (open.length > 0) throw new Error(`connections were left open: ${open.join('; ')}`);
  });
}
