import { readFileSync } from 'node:fs';
import { chmod, copyFile, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';

import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { verifyJson } from '../audit-verify/support/run.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { castellan, exitWithin, finished, type Running, testHome, until } from '../support/process.ts';
import { caller, testCertificates } from '../support/service.ts';

type Env = Record<string, string>;

const AGENTS = '/v1/workspaces/demo/agents';
const CLIENTS = 8;
/** Acknowledged requests before the signal comes. */
const UNDER_WAY = 40;

/** Files and ports of a `serve` of this test. */
async function serveHome(t: Test, database: TestDatabase): Promise<Env> {
  const { home } = await testHome(t);
  const certsDir = await testCertificates(t);
  for (const name of ['audit', 'proof']) {
    await writeFile(join(home, `${name}.pem`), generateEd25519().privateKeyPem, { mode: 0o600 });
  }
  return {
    NODE_ENV: 'development',
    DATABASE_URL: database.appUrl,
    CASTELLAN_DATABASE_SYSTEM_URL: database.systemUrl,
    CASTELLAN_API_PORT: String(await freePort()),
    CASTELLAN_OPS_PORT: String(await freePort()),
    CASTELLAN_RUNTIME_DRIVER: 'off',
    CASTELLAN_API_TLS_CERT_FILE: join(certsDir, 'server.crt'),
    CASTELLAN_API_TLS_KEY_FILE: join(certsDir, 'server.key'),
    CASTELLAN_API_TLS_CLIENT_CA_FILE: join(certsDir, 'ca.crt'),
    CASTELLAN_IDENTITY_MAP_FILE: join(certsDir, 'identity-map.json'),
    CASTELLAN_AUDIT_SIGNING_KEY_FILE: join(home, 'audit.pem'),
    CASTELLAN_PROOF_SIGNING_KEY_FILE: join(home, 'proof.pem'),
    CASTELLAN_LOG_LEVEL: 'warn',
  };
}

async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const address = probe.address();
    probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
  });
  return promise;
}

async function isReady(env: Env): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${env['CASTELLAN_OPS_PORT']}/readyz`).catch(() => undefined);
  return answer?.status === 200;
}

/** Runs `serve` to its refusal, and sees that neither port was ever open. */
async function refused(t: Test, env: Env): Promise<string> {
  const running = castellan(t, ['serve'], env);
  const ports = [env['CASTELLAN_API_PORT'], env['CASTELLAN_OPS_PORT']].map(hexPort);
  let listened = false;
  const watch = setInterval(() => {
    listened ||= listening().some((port) => ports.includes(port));
  }, 10);
  const { code } = await exitWithin(running, 30_000).finally(() => clearInterval(watch));
  t.equal(code, 78, running.stderr());
  t.notOk(listened, 'nothing listened');
  t.equal(running.stdout(), '');
  return running.stderr();
}

function hexPort(port: string | undefined): string {
  return Number(port).toString(16).toUpperCase().padStart(4, '0');
}

/** Local ports in LISTEN (state 0A of proc_net(5)), as the kernel writes them. */
function listening(): string[] {
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === '0A')
    .map(([, local]) => local?.split(':')[1] ?? '');
}

t.test('production: every problem at once, exit 78, and nothing listens', async (t) => {
  const database = await testDatabase(t);
  const { NODE_ENV: _, ...production } = await serveHome(t, database);
  const unsafe = {
    ...production,
    DATABASE_URL: database.superuserUrl,
    DEV_SKIP_MTLS: 'YES',
    REQUIRE_KMS: 'false',
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    CASTELLAN_NONSENSE: '1',
  };
  for (const env of [unsafe, { ...unsafe, NODE_ENV: 'staging' }]) {
    const said = await refused(t, env);
    for (const problem of [
      'DEV_SKIP_MTLS is not allowed in production',
      'REQUIRE_KMS cannot be false in production',
      'NODE_TLS_REJECT_UNAUTHORIZED=0',
      'CASTELLAN_NONSENSE is not a setting of Castellan',
      'AUDIT_SIGNING_KEY_SOURCE must be kms, proxy or pkcs11',
      'the login postgres is a superuser',
    ]) {
      t.match(said, problem);
    }
    t.notMatch(said, new URL(database.superuserUrl).password, 'no secret');
  }
});

t.test('production: what a login may not be', async (t) => {
  const database = await testDatabase(t);
  const { NODE_ENV: _, ...production } = await serveHome(t, database);
  const suffix = database.name.split('_').at(-1);
  const logins = [
    { name: `owner_${suffix}`, options: 'IN ROLE castellan_owner, castellan_app', says: 'may become castellan_owner' },
    { name: `bypass_${suffix}`, options: 'BYPASSRLS IN ROLE castellan_app', says: 'has BYPASSRLS' },
  ];
  for (const { name, options, says } of logins) {
    await database.query(`CREATE ROLE ${name} LOGIN PASSWORD 'only-for-tests' ${options}`);
    t.teardown(() => database.query(`DROP ROLE ${name}`));
    const url = new URL(database.appUrl);
    url.username = name;
    url.password = 'only-for-tests';
    t.match(await refused(t, { ...production, DATABASE_URL: url.href }), `the login ${name} ${says}`);
  }
});

t.test('development: what is refused there too', async (t) => {
  const database = await testDatabase(t);
  const env = await serveHome(t, database);
  t.match(await refused(t, { ...env, REQUIRE_KMS: 'true' }), 'AUDIT_SIGNING_KEY_SOURCE must be kms, proxy or pkcs11');

  const missing = { ...env, CASTELLAN_IDENTITY_MAP_FILE: '/nowhere/map', CASTELLAN_API_TLS_KEY_FILE: '/nowhere/key' };
  const said = await refused(t, missing);
  t.match(said, /identity map: \S+ cannot be read/);
  t.match(said, '/nowhere/key cannot be read');

  const { home } = await testHome(t);
  const open = join(home, 'open.pem');
  await copyFile(env['CASTELLAN_AUDIT_SIGNING_KEY_FILE'] ?? '', open);
  await chmod(open, 0o644);
  t.match(await refused(t, { ...env, CASTELLAN_AUDIT_SIGNING_KEY_FILE: open }), 'open to group or others');
  await writeFile(open, 'not a certificate');
  t.match(await refused(t, { ...env, CASTELLAN_API_TLS_CERT_FILE: open }), 'is not a PEM certificate');

  const empty = await testDatabase(t, { empty: true });
  const behind = { ...env, DATABASE_URL: empty.superuserUrl, CASTELLAN_DATABASE_SYSTEM_URL: empty.superuserUrl };
  t.match(await refused(t, behind), 'run `castellan migrate`');

  const away = { ...env, DATABASE_URL: 'postgres://app:hunter2@127.0.0.1:1/x' };
  const { code, stderr } = await finished(t, ['serve'], away);
  t.equal(code, 1, 'a database that is away is no bad setting');
  t.match(stderr, 'the database is unavailable');
  t.notMatch(stderr, 'hunter2');
});

interface Load {
  acknowledged: number;
  closed: number;
  readonly failures: string[];
  readonly done: Promise<unknown>;
}

/** Clients that create agents one after the other on kept connections, until the service says no more. */
function load(env: Env, certsDir: string): Load {
  const pem = (name: string) => readFileSync(join(certsDir, name));
  const tls = { ca: pem('ca.crt'), cert: pem('operator.crt'), key: pem('operator.key') };
  const state = { acknowledged: 0, closed: 0, failures: [] as string[] };
  const client = async (): Promise<void> => {
    const agent = new Agent({ ...tls, keepAlive: true, maxSockets: 1 });
    for (let open = true; open; ) {
      open = await create(agent);
    }
    agent.destroy();
  };
  /** False when the connection ended, as it should only after an answer that said so, or before anything was sent on it. */
  const create = (agent: Agent): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const outgoing = request(`https://127.0.0.1:${env['CASTELLAN_API_PORT']}${AGENTS}`, {
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/json' },
    });
    outgoing.on('error', () => resolve(false));
    outgoing.on('response', (response) => {
      response.resume();
      response.on('end', () => {
        if (response.statusCode === 201) state.acknowledged += 1;
        else state.failures.push(`${response.statusCode}`);
        const closing = response.headers.connection === 'close';
        if (closing) state.closed += 1;
        resolve(!closing);
      });
      response.on('error', (error) => {
        state.failures.push(error.message);
        resolve(false);
      });
    });
    outgoing.end(JSON.stringify({ spec: { name: 'under-load' } }));
    return promise;
  };
  return Object.assign(state, { done: Promise.all(Array.from({ length: CLIENTS }, client)) });
}

async function serving(t: Test, env: Env): Promise<Running> {
  const running = castellan(t, ['serve'], env);
  await until('ready', async () => running.child.exitCode !== null || (await isReady(env)), 30_000);
  t.equal(running.child.exitCode, null, running.stderr());
  return running;
}

t.test('serve with restricted logins drains under load on SIGTERM and loses nothing it acknowledged', async (t) => {
  const database = await testDatabase(t);
  const env = await serveHome(t, database);
  const certsDir = dirname(env['CASTELLAN_API_TLS_CERT_FILE'] ?? '');
  const running = await serving(t, env);
  const call = caller(`https://127.0.0.1:${env['CASTELLAN_API_PORT']}`, certsDir);
  t.equal((await call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId: 'demo' })).status, 201);

  const traffic = load(env, certsDir);
  await until('traffic', () => traffic.acknowledged >= UNDER_WAY, 20_000);
  running.child.kill('SIGTERM');
  t.same(await exitWithin(running, 10_000), { code: 0, signal: null }, running.stderr());
  await traffic.done;

  t.same(traffic.failures, [], 'every request was answered in full, or not at all');
  t.ok(traffic.closed > 0, 'answers while draining said Connection: close');
  const { rows } = await database.query('SELECT count(*)::int FROM agents');
  t.ok(rows[0].count >= traffic.acknowledged, 'what was acknowledged is there');
  const { code, report } = await verifyJson(['--database-url', database.superuserUrl]);
  t.equal(code, 0, JSON.stringify(report.findings));

  const again = await serving(t, env);
  again.child.kill('SIGINT');
  t.equal((await exitWithin(again, 10_000)).code, 0, 'and it starts again with the keys it had');
});
