import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';

import { serverAccount } from '../../src/storage/embedded/account.ts';
import { packageRoot, usableBinDir } from '../../src/storage/embedded/packaged-binaries.ts';
import { startEmbeddedPostgres } from '../../src/storage/embedded/server.ts';
import { quiet, withClient } from '../support/postgres.ts';

const HOLD_SERVER = fileURLToPath(new URL('./fixtures/hold-server.ts', import.meta.url));

async function temporary(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'castellan-test-embedded-'));
  t.teardown(() => rm(directory, { recursive: true }));
  return directory;
}

const one = (url: string) => withClient(url, (client) => client.query('SELECT 1'));

t.test('keeps data and password between runs, listens on loopback with scram only', async (t) => {
  const dataDir = join(await temporary(t), 'data');
  const first = await startEmbeddedPostgres({ dataDir, logger: quiet });
  await withClient(first.superuserUrl, (client) => client.query('CREATE TABLE kept (n int)'));
  const { rows } = await withClient(first.superuserUrl, (client) =>
    client.query(`SELECT current_setting('listen_addresses') AS listen, current_setting('unix_socket_directories') AS sockets,
      current_setting('fsync') AS fsync, current_setting('lc_collate', true) AS collate, current_setting('server_encoding') AS encoding,
      (SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules) AS methods`),
  );
  t.match(rows[0], { listen: '127.0.0.1', sockets: '', fsync: 'on', encoding: 'UTF8', methods: 'scram-sha-256' });
  t.equal((await stat(join(dataDir, 'superuser-password'))).mode & 0o777, 0o600);
  const wrong = new URL(first.superuserUrl);
  wrong.password = 'wrong';
  await t.rejects(one(wrong.href), { code: '28P01' });
  await Promise.all([first.stop(), first.stop()]);
  t.throws(() => process.kill(first.pid, 0), { code: 'ESRCH' });
  t.notOk((await readdir(dataDir)).includes('owner'));

  const second = await startEmbeddedPostgres({ dataDir, logger: quiet });
  t.teardown(() => second.stop());
  t.equal(new URL(second.superuserUrl).password, new URL(first.superuserUrl).password);
  t.equal((await withClient(second.superuserUrl, (client) => client.query('SELECT FROM kept'))).rowCount, 0);
  await t.rejects(startEmbeddedPostgres({ dataDir, logger: quiet }), { code: 'DATA_DIR_IN_USE' }, 'not an orphan');
  await one(second.superuserUrl);
});

t.test('an ephemeral server leaves nothing behind', async (t) => {
  const server = await startEmbeddedPostgres({ ephemeral: true, logger: quiet });
  const { rows } = await withClient(server.superuserUrl, (client) =>
    client.query(`SELECT current_setting('fsync') AS fsync, current_setting('data_directory') AS dir`),
  );
  t.match(rows[0], { fsync: 'off' });
  await server.stop();
  await t.rejects(stat(rows[0].dir), { code: 'ENOENT' });
});

t.test('recovers from a crash of the server', async (t) => {
  const dataDir = join(await temporary(t), 'data');
  const crashed = await startEmbeddedPostgres({ dataDir, logger: quiet });
  await withClient(crashed.superuserUrl, (client) => client.query('CREATE TABLE kept (n int)'));
  crashed.kill();
  await crashed.stop();
  const server = await startEmbeddedPostgres({ dataDir, logger: quiet });
  t.equal((await withClient(server.superuserUrl, (client) => client.query('SELECT FROM kept'))).rowCount, 0);
  await server.stop();
});

t.test('stops the server that a killed service left behind, and starts again', async (t) => {
  const dataDir = join(await temporary(t), 'data');
  const service = spawn(process.execPath, [HOLD_SERVER, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(service.stdout), 'line');
  const orphan: { url: string; pid: number } = JSON.parse(String(line));
  service.kill('SIGKILL');
  await once(service, 'exit');
  await one(orphan.url);

  const said: string[] = [];
  const server = await startEmbeddedPostgres({ dataDir, logger: { warn: (_fields, text) => said.push(text) } });
  t.teardown(() => server.stop());
  t.not(server.pid, orphan.pid);
  if (server.port !== Number(new URL(orphan.url).port)) await t.rejects(one(orphan.url), { code: 'ECONNREFUSED' });
  t.match(said, [/left behind/]);
  await one(server.superuserUrl);
});

t.test('a pid file that names an unrelated process does not cost that process its life', async (t) => {
  const dataDir = join(await temporary(t), 'data');
  await (await startEmbeddedPostgres({ dataDir, logger: quiet })).stop();
  const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  t.teardown(() => bystander.kill('SIGKILL'));
  await writeFile(join(dataDir, 'pgdata', 'postmaster.pid'), `${bystander.pid}\n${dataDir}\n0\n1\n\n\n\nready\n`);
  const server = await startEmbeddedPostgres({ dataDir, logger: quiet });
  await server.stop();
  t.equal(bystander.exitCode, null);
  t.equal(bystander.signalCode, null);
});

t.test('a data directory that cannot be used is named, and left as it is', async (t) => {
  const dataDir = join(await temporary(t), 'data');
  await (await startEmbeddedPostgres({ dataDir, logger: quiet })).stop();
  const version = join(dataDir, 'pgdata', 'PG_VERSION');
  await writeFile(version, '9\n');
  await t.rejects(startEmbeddedPostgres({ dataDir, logger: quiet }), {
    code: 'DATA_DIR_UNUSABLE',
    message: /PostgreSQL 9 /,
  });
  t.equal(await readFile(version, 'utf8'), '9\n');
});

t.test('a port asked for is used, and an occupied one is an error', async (t) => {
  const holder = await startEmbeddedPostgres({ ephemeral: true, logger: quiet });
  t.teardown(() => holder.stop());
  const dataDir = join(await temporary(t), 'data');
  await t.rejects(startEmbeddedPostgres({ dataDir, port: holder.port, logger: quiet }), { code: 'START_FAILED' });
  t.notOk((await readdir(dataDir)).includes('owner'), 'the directory is given back');
});

t.test(
  'a directory that only this user can enter',
  { skip: process.getuid?.() === 0 ? false : 'for root only' },
  async (t) => {
    const secret = await temporary(t);
    await chmod(secret, 0o700);
    const server = await startEmbeddedPostgres({ dataDir: join(secret, 'data'), logger: quiet });
    t.teardown(() => server.stop());
    await one(server.superuserUrl);
  },
);

const root = packageRoot();
t.test(
  'binaries without their links, or out of reach, are made usable',
  { skip: root === undefined && 'no package' },
  async (t) => {
    const directory = await temporary(t);
    const copy = join(directory, 'package');
    await cp(root ?? '', copy, { recursive: true, verbatimSymlinks: true });
    const library = join(copy, 'native', 'lib');
    for (const link of JSON.parse(await readFile(join(copy, 'native', 'pg-symlinks.json'), 'utf8'))) {
      await rm(join(copy, link.target), { force: true });
    }
    const account = await serverAccount();
    await chmod(directory, 0o755);
    t.equal(await usableBinDir(copy, account), join(copy, 'native', 'bin'));
    t.ok((await readdir(library)).includes('libpq.so.5'), 'links are back');
    if (account === undefined) return;
    await chmod(directory, 0o700);
    const binDir = await usableBinDir(copy, account);
    t.not(binDir, join(copy, 'native', 'bin'));
    const server = await startEmbeddedPostgres({ ephemeral: true, binaries: { binDir, major: 18 }, logger: quiet });
    await one(server.superuserUrl);
    await server.stop();
  },
);
