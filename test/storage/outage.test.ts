import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { startEmbeddedPostgres } from '../../src/storage/embedded/server.ts';
import { provisionLogins } from '../../src/storage/logins.ts';
import { migrate } from '../../src/storage/migrator.ts';
import { createStorage } from '../../src/storage/storage.ts';
import { inside } from '../support/inside.ts';
import { databaseUrl, LOGINS, quiet } from '../support/postgres.ts';

function storageAt(t: Test, serverUrl: string) {
  const appUrl = databaseUrl(serverUrl, 'postgres', LOGINS.app);
  const systemUrl = databaseUrl(serverUrl, 'postgres', LOGINS.system);
  const storage = createStorage({ appUrl, systemUrl, poolSize: 4, logger: quiet });
  t.teardown(() => storage.close());
  return storage;
}

t.test('the database goes away and comes back', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'castellan-test-outage-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const dataDir = join(directory, 'data');
  const first = await startEmbeddedPostgres({ dataDir, logger: quiet });
  await migrate(first.superuserUrl);
  await provisionLogins(first.superuserUrl, LOGINS);
  const storage = storageAt(t, first.superuserUrl);
  await storage.ping();
  await first.stop();
  await t.rejects(storage.ping(), { code: 'DATABASE_UNAVAILABLE' });
  await t.rejects(
    inside(storage, 'a', async () => undefined),
    { code: 'DATABASE_UNAVAILABLE' },
  );
  const second = await startEmbeddedPostgres({ dataDir, port: first.port, logger: quiet });
  t.teardown(() => second.stop());
  await storage.ping();
  t.equal(await storage.migrationsCurrent(), 'current');
});

t.test('a database that takes connections and says nothing', async (t) => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket));
  const { promise, resolve } = Promise.withResolvers<void>();
  silent.listen(0, '127.0.0.1', resolve);
  await promise;
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const address = silent.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const storage = storageAt(t, `postgres://x:x@127.0.0.1:${port}/x`);
  const started = Date.now();
  await t.rejects(storage.ping(), { code: 'DATABASE_UNAVAILABLE' });
  t.ok(Date.now() - started < 2000);
});
