import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';

import { testDatabase } from '../support/database.ts';
import { castellan, exitWithin, processesIn, until } from '../support/process.ts';
import { type Dev, devHome, startDev } from './dev.ts';

/** ms; a stop asked for by SIGTERM. */
const STOPPED_WITHIN_MS = 10_000;
const AGENTS = '/v1/workspaces/demo/agents';

async function createAgent({ call }: Dev, name: string): Promise<string> {
  const created = await call('operator', 'POST', AGENTS, { spec: { name } });
  if (created.status !== 201) throw new Error(created.text);
  return String(created.body.id);
}

async function stop({ running, ready }: Dev): Promise<void> {
  process.kill(ready.pid, 'SIGTERM');
  const exit = await exitWithin(running, STOPPED_WITHIN_MS);
  if (exit.code !== 0) throw new Error(`exit ${exit.code} ${exit.signal}: ${running.stderr()}`);
}

t.test('one line of readiness, a clean stop, state that survives a restart and a crash', async (t) => {
  const { home, dataDir, env } = await devHome(t);
  const first = await startDev(t, env);
  t.match(first.ready, {
    ready: true,
    api: /^https:\/\/127\.0\.0\.1:\d+$/,
    ops: /^http:\/\/127\.0\.0\.1:\d+$/,
    databaseUrl: /^postgres:\/\//,
    certsDir: env['CASTELLAN_CERTS_DIR'],
    workspaceId: 'demo',
    pid: first.running.pid,
  });
  t.equal(Object.keys(first.ready).length, 7);
  t.equal((await fetch(`${first.ready.ops}/readyz`)).status, 200);
  t.same(JSON.parse(readFileSync(join(dataDir, 'running.json'), 'utf8')), first.ready);
  const agent = await createAgent(first, 'survivor');
  t.ok(processesIn(home).length > 0, 'its database runs');
  await stop(first);
  t.equal(first.running.stdout().split('\n').length, 2, 'exactly one line on stdout');
  t.equal(first.running.stderr(), '', 'nothing to warn about');
  t.same(processesIn(home), [], 'no orphan');
  t.notOk(existsSync(join(dataDir, 'running.json')));

  const second = await startDev(t, env);
  t.equal((await second.call('operator', 'GET', `${AGENTS}/${agent}`)).body.spec.name, 'survivor');
  second.running.child.kill('SIGKILL');
  await second.running.exited;

  const third = await startDev(t, env);
  t.equal((await third.call('operator', 'GET', `${AGENTS}/${agent}`)).status, 200, 'also after a kill -9');
  t.equal((await third.call('operator', 'POST', `${AGENTS}/${agent}/start`)).status, 200);

  const intruder = castellan(t, ['dev', '--json'], env);
  t.equal((await exitWithin(intruder, 20_000)).code, 1);
  t.match(intruder.stderr(), /is in use by process \d+/, 'a second one on the same data says why it does not start');
  t.equal((await third.call('operator', 'GET', `${AGENTS}/${agent}`)).status, 200, 'and does no harm');
  await stop(third);
  t.same(processesIn(home), []);
});

t.test('--ephemeral leaves nothing', async (t) => {
  const { home, tmp, env } = await devHome(t);
  const dev = await startDev(t, { ...env, CASTELLAN_RUNTIME_DRIVER: 'auto' }, ['--ephemeral']);
  await createAgent(dev, 'forgotten');
  t.not(readdirSync(tmp).length, 0);
  await stop(dev);
  t.same(leftIn(tmp), [], 'no temporary directory');
  t.same(processesIn(home), [], 'no process');
  t.same(readdirSync(join(home, 'data')), [], 'nothing beside');
});

t.test('a second SIGTERM ends it at once, and its database with it', async (t) => {
  const { home, env } = await devHome(t);
  const dev = await startDev(t, env, ['--ephemeral']);
  dev.running.child.kill('SIGTERM');
  await until(
    'the first one heard',
    () => dev.running.child.exitCode !== null || dev.running.child.kill('SIGTERM'),
    5000,
  );
  const { code } = await exitWithin(dev.running, STOPPED_WITHIN_MS);
  t.ok(code === 0 || code === 1, `exit ${code}`);
  await until('no orphan', () => processesIn(home).length === 0, STOPPED_WITHIN_MS);
});

t.test('SIGTERM during start-up', async (t) => {
  const { home, tmp, env } = await devHome(t);
  const early = castellan(t, ['dev', '--json', '--ephemeral'], env);
  await until('the database is being made', () => readdirSync(tmp).some((name) => name.startsWith('castellan-')));
  early.child.kill('SIGTERM');
  t.same(await exitWithin(early, STOPPED_WITHIN_MS), { code: 0, signal: null }, early.stderr());
  t.equal(early.stdout(), '', 'it never says that it is ready');
  t.same(processesIn(home), []);
  t.same(leftIn(tmp), []);
});

t.test('another server by DATABASE_URL', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const { home, env } = await devHome(t);
  const dev = await startDev(t, { ...env, DATABASE_URL: database.superuserUrl });
  t.equal(dev.ready.databaseUrl, database.superuserUrl);
  t.same(processesIn(home), [], 'no database of its own');
  const agent = await createAgent(dev, 'elsewhere');
  t.equal((await dev.call('outsider', 'GET', `${AGENTS}/${agent}`)).status, 404, 'tenants are kept apart');
  await stop(dev);
  const again = await startDev(t, { ...env, DATABASE_URL: database.superuserUrl }, ['--ephemeral']);
  t.equal((await again.call('operator', 'GET', `${AGENTS}/${agent}`)).status, 200, 'with the keys the database knows');
  await stop(again);
});

t.test('a port in use', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const taken = createServer().listen(0, '127.0.0.1', resolve);
  await promise;
  t.teardown(() => taken.close());
  const address = taken.address();
  const port = String(typeof address === 'object' && address !== null ? address.port : 0);
  for (const name of ['CASTELLAN_API_PORT', 'CASTELLAN_OPS_PORT']) {
    const { home, tmp, env } = await devHome(t);
    const dev = castellan(t, ['dev', '--json', '--ephemeral'], { ...env, [name]: port });
    t.equal((await exitWithin(dev, 60_000)).code, 1);
    t.match(dev.stderr(), new RegExp(`address already in use 127\\.0\\.0\\.1:${port}`));
    t.equal(dev.stdout(), '');
    t.same(processesIn(home), [], 'no orphan');
    t.same(leftIn(tmp), []);
  }
});

t.test('DEV_SKIP_MTLS: no certificate is the operator `dev`, a bad one is still refused', async (t) => {
  const { env } = await devHome(t);
  const dev = await startDev(t, { ...env, DEV_SKIP_MTLS: 'true' }, ['--ephemeral']);
  const bare = (method: string, path: string, body = '') => {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const outgoing = request(new URL(path, dev.ready.api), {
      method,
      ca: readFileSync(join(dev.ready.certsDir, 'ca.crt')),
      agent: false,
      headers: body === '' ? {} : { 'content-type': 'application/json' },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    outgoing.end(body);
    return promise;
  };
  const created = await bare('POST', AGENTS, JSON.stringify({ spec: { name: 'bare' } }));
  t.equal(created.status, 201, created.text);
  const events = await dev.call('auditor', 'GET', '/v1/workspaces/demo/audit/events?type=agent.created');
  t.match(events.body.events.at(-1), { actor: { id: 'dev' } });
  t.equal((await bare('POST', '/v1/workspaces/demo/policy/revalidate')).status, 403, 'an operator, no more');
  t.equal((await bare('GET', '/v1/workspaces/other/agents')).status, 404, 'of the sample workspace alone');
  await stop(dev);
});

/** Without the directory that all services of a user share, in which they tell each other what is taken. */
function leftIn(tmp: string): string[] {
  return readdirSync(tmp).filter((name) => !/^castellan-runtime-\d+$/.test(name));
}
