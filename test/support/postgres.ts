import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';

import type { Binaries } from '../../src/storage/embedded/binaries.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded/server.ts';
import { provisionLogins } from '../../src/storage/logins.ts';
import { MIGRATIONS_FOLDER } from '../../src/storage/migration-files.ts';
import { migrate } from '../../src/storage/migrator.ts';

const SERVER_VARIABLE = 'TESTING_DATABASE_URL';
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** One builder of the template at a time on a server. */
const TEMPLATE_LOCK = 7_205_759_404;

/** The logins of every test server; the server ends with the run. */
export const LOGINS = {
  app: { user: 'castellan_app_login', password: 'only-for-tests-app' },
  system: { user: 'castellan_system_login', password: 'only-for-tests-system' },
};

export const quiet = { warn: () => undefined };

/** One server for a whole run (scripts/test.ts); its address goes to the test files by the environment. */
export async function startTestServer(): Promise<{ env: Record<string, string>; stop(): Promise<void> }> {
  const server = await startEmbeddedPostgres({ ephemeral: true, logger: quiet });
  // A run that is broken off leaves no server behind.
  const breakOff = () => {
    void server.stop().finally(() => process.exit(1));
  };
  for (const signal of SIGNALS) process.once(signal, breakOff);
  return {
    env: { [SERVER_VARIABLE]: server.superuserUrl },
    stop: () => {
      for (const signal of SIGNALS) process.off(signal, breakOff);
      return server.stop();
    },
  };
}

let own: Promise<EmbeddedPostgres> | undefined;

/** The superuser's URL of the run's server, or of one that this file starts and stops itself. */
export async function testServerUrl(): Promise<string> {
  const given = process.env[SERVER_VARIABLE];
  if (given !== undefined) return given;
  if (own === undefined) {
    own = startEmbeddedPostgres({ ephemeral: true, logger: quiet });
    // Loaded here: merely importing tap makes a process a test with a time limit, and scripts/test.ts is none.
    const { t } = await import('tap');
    t.teardown(async () => (await own)?.stop());
  }
  return (await own).superuserUrl;
}

/** A new ephemeral server of the test's own, of the default or of chosen binaries. */
export async function serverOf(test: Tap, binaries?: Binaries): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    ephemeral: true,
    ...(binaries === undefined ? {} : { binaries }),
    logger: quiet,
  });
  test.teardown(() => server.stop());
  return server;
}

export interface Tap {
  teardown(clean: () => unknown): void;
}

/** The name of a database with every migration applied, made once per server and state of the migrations. */
export async function templateDatabase(serverUrl: string): Promise<string> {
  const name = `castellan_template_${await digestOfMigrations()}`;
  await withClient(serverUrl, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (rowCount !== 0) return;
    // Under another name until it is whole.
    await client.query(`DROP DATABASE IF EXISTS ${name}_new WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${name}_new`);
    const url = databaseUrl(serverUrl, `${name}_new`);
    await migrate(url);
    await provisionLogins(url, LOGINS);
    await client.query(`ALTER DATABASE ${name}_new RENAME TO ${name}`);
  });
  return name;
}

/** The same server and login, another database. */
export function databaseUrl(serverUrl: string, database: string, login?: { user: string; password: string }): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  if (login !== undefined) {
    url.username = login.user;
    url.password = login.password;
  }
  return url.href;
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'castellan-test' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function digestOfMigrations(): Promise<string> {
  const hash = createHash('sha256');
  const files = (await readdir(MIGRATIONS_FOLDER, { recursive: true })).filter((file) => file.endsWith('.ts')).sort();
  for (const file of files) hash.update(file).update(await readFile(join(MIGRATIONS_FOLDER, file)));
  hash.update(await readFile(new URL('../../src/storage/roles.ts', import.meta.url)));
  return hash.digest('hex').slice(0, 12);
}
