import { chown, open, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { withClient } from '../../support/postgres.ts';
import { until } from '../../support/process.ts';
import { moreAcknowledged, moreFailed, requireAlive } from '../support/conduct.ts';
import type { OwnServer } from '../support/harness.ts';
import type { FaultScenario } from '../support/run.ts';
import type { Stage } from '../support/stage.ts';
import type { World } from '../support/world.ts';

/** Calls that came to nothing before the database is given back. */
const FAILED = 5;
const BLOCK = Buffer.alloc(256 * 1024, 1);
const PROMOTED_WITHIN_MS = 20_000;

/** Faults of a server that belongs to the harness; each leaves it running and writable. */
const FAULTS: Readonly<Record<string, Pick<FaultScenario, 'why' | 'awaits' | 'fault'>>> = {
  'database-stopped': {
    why: 'the database is stopped in order and started again',
    fault: async ({ world, server, instance }) => {
      await server.stop();
      await moreFailed(world, FAILED);
      await requireAlive(instance);
      await server.start();
    },
  },
  'database-killed': {
    why: 'the postmaster is killed, and recovers from its log',
    fault: async ({ world, server, instance }) => {
      await server.crash();
      await moreFailed(world, FAILED);
      await requireAlive(instance);
      await server.start();
    },
  },
  'database-read-only': {
    why: 'default_transaction_read_only for everybody, as an operator would set it before a fail-over',
    fault: async ({ world, server }) => {
      await administer(server, 'ALTER SYSTEM SET default_transaction_read_only = on');
      // Our own transactions say READ WRITE, so they may go on; what is told must be true either way.
      await moreAcknowledged(world, 5).catch(() => undefined);
      await administer(server, 'ALTER SYSTEM RESET default_transaction_read_only');
    },
  },
  'database-standby': {
    why: 'the database comes back as a standby that only reads, and is promoted',
    fault: async ({ world, server, instance }) => {
      await server.stop();
      await makeStandby(server);
      await server.start();
      await moreFailed(world, FAILED, 'writes that a standby refuses');
      await requireAlive(instance);
      await withClient(server.url(), async (client) => {
        await client.query('SELECT pg_promote(wait => false)');
        await until(
          'promoted',
          async () => (await client.query('SELECT pg_is_in_recovery() AS standby')).rows[0].standby === false,
          PROMOTED_WITHIN_MS,
        );
      });
    },
  },
};

export const DATABASE_SCENARIOS: readonly FaultScenario[] = [
  ...Object.entries(FAULTS).map(
    ([name, one]): FaultScenario => ({ name, ...one, runs: 5, server: (harness) => harness.ownServer() }),
  ),
  {
    name: 'database-disk-full',
    why: 'the file system of the database has no byte left',
    runs: 3,
    server: (harness) => harness.smallServer(),
    fault: fillUp,
  },
];

async function fillUp({ world, server, instance }: Stage): Promise<void> {
  const ballast = join(server.dataDir, 'ballast');
  await fill(ballast);
  try {
    // Until something has to grow: the log's present segment may still have room.
    await grow(world, server, ballast);
    await requireAlive(instance);
  } finally {
    await rm(ballast, { force: true });
    await server.restart();
  }
}

async function administer(server: OwnServer, statement: string): Promise<void> {
  await withClient(server.url(), async (client) => {
    await client.query('SET default_transaction_read_only = off');
    await client.query(statement);
    await client.query('SELECT pg_reload_conf()');
  });
}

/** PostgreSQL, 26.2: a server that finds this file stays in recovery until it is promoted. */
async function makeStandby({ dataDir }: OwnServer): Promise<void> {
  const pgdata = join(dataDir, 'pgdata');
  const signal = join(pgdata, 'standby.signal');
  await writeFile(signal, '', { mode: 0o600 });
  const { uid, gid } = await stat(pgdata);
  await chown(signal, uid, gid);
}

/** Writes until there is no room. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'a');
  try {
    for (;;) await file.write(BLOCK);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  } finally {
    await file.close();
  }
}

/** Uses up what PostgreSQL had in reserve, by rows that are of no use, until calls fail. */
async function grow(world: World, server: OwnServer, ballast: string): Promise<void> {
  const failed = moreFailed(world, 5, 'calls that fail for want of room');
  let done = false;
  void failed.finally(() => {
    done = true;
  });
  while (!done) {
    await withClient(server.url(), (client) =>
      client.query(`CREATE TABLE junk AS SELECT repeat(md5(n::text), 100) AS text FROM generate_series(1, 8000) AS n`),
    ).catch(() => undefined);
    await fill(ballast).catch(() => undefined);
  }
  await failed;
}
