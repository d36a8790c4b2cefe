import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';

import { describeApi } from '../../src/describe-api.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded/server.ts';
import { verifyJson } from '../audit-verify/support/run.ts';
import { testDatabase } from '../support/database.ts';
import { quiet } from '../support/postgres.ts';
import { until } from '../support/process.ts';
import { type TestService, testService } from '../support/service.ts';
import bodies from './outage-bodies.json' with { type: 'json' };
import { QUERIES } from './support/operations.ts';

/** ms; a caller is told within this time (1.8 s for a connection, and the way there and back). */
const TOLD_WITHIN_MS = 2500;
const RECOVERED_WITHIN_MS = 15_000;

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly operationId: string;
}

/** Every operation of the API that answers from the database, with its path filled in. */
async function operations(): Promise<Operation[]> {
  const { paths }: { paths: Record<string, Record<string, { operationId: string }>> } = parse(await describeApi());
  const filled = (path: string) =>
    path
      .replace('{workspaceId}', 'demo')
      .replace('{version}', '1')
      .replace('{signerId}', 'audit-1')
      .replace('{principalId}', `hu-${randomUUID()}`)
      .replaceAll(/\{[^}]+\}/g, () => randomUUID());
  return Object.entries(paths)
    .filter(([path]) => /^\/(?:api\/)?v1\//.test(path))
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => ({
        method: method.toUpperCase(),
        path: `${filled(path)}${QUERIES[operationId] ?? ''}`,
        operationId,
      })),
    );
}

async function ops(at: TestService, path: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${at.service.opsUrl}${path}`);
  return { status: answer.status, text: await answer.text() };
}

async function ready(at: TestService): Promise<boolean> {
  return (await ops(at, '/readyz')).status === 200;
}

async function createAgent(at: TestService): Promise<string> {
  const created = await at.call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: { name: 'outage' } });
  return `/v1/workspaces/demo/agents/${String(created.body.id)}`;
}

t.test('the database stops under a running service, and comes back', async (t: Test) => {
  const directory = await mkdtemp(join(tmpdir(), 'castellan-test-outage-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const options = { dataDir: join(directory, 'data'), logger: quiet };
  let server: EmbeddedPostgres = await startEmbeddedPostgres(options);
  t.teardown(() => server.stop());
  const database = await testDatabase(t, { serverUrl: server.superuserUrl });
  const at = await testService(t, { database });
  const agent = await createAgent(at);
  t.ok(await ready(at));
  const state = () =>
    database.query(`SELECT (SELECT count(*) FROM audit_events) AS events, (SELECT count(*) FROM agents) AS agents,
      (SELECT count(*) FROM decisions) AS decisions, (SELECT count(*) FROM policy_versions) AS versions`);
  const before = (await state()).rows;

  const { port } = server;
  await server.stop();
  const all = await operations();
  t.ok(all.length > 30);
  const templates: Readonly<Record<string, unknown>> = bodies;
  for (const { method, path, operationId } of all) {
    const began = performance.now();
    const answer = await at.call('kernel-admin', method, path, templates[operationId]);
    t.ok(performance.now() - began < TOLD_WITHIN_MS, `${operationId} answers in time`);
    t.equal(answer.status, 503, `${operationId}: ${answer.text}`);
    t.match(String(answer.headers['content-type']), /^application\/problem\+json/, operationId);
    t.match(String(answer.headers['retry-after']), /^[1-9]\d*$/, operationId);
    t.match(answer.body.code, /^(DATABASE|AUDIT)_UNAVAILABLE$/, operationId);
  }
  t.equal((await at.call('operator', 'GET', '/openapi.json')).status, 200, 'what needs no database is served');
  await until('not ready', async () => !(await ready(at)), 3000);
  t.equal((await ops(at, '/livez')).status, 200);
  t.equal((await ops(at, '/metrics')).status, 200);

  server = await startEmbeddedPostgres({ ...options, port });
  await until('ready again', () => ready(at), RECOVERED_WITHIN_MS);
  t.same((await state()).rows, before, 'nothing changed meanwhile');
  t.equal((await at.call('operator', 'POST', `${agent}/start`)).status, 200);
  const { code, report } = await verifyJson(['--database-url', database.superuserUrl]);
  t.equal(code, 0, JSON.stringify(report.findings));
});

t.test('the audit signer is away: no start, but every stop', async (t) => {
  const at = await testService(t);
  const [running, stopped] = [await createAgent(at), await createAgent(at)];
  t.equal((await at.call('operator', 'POST', `${running}/start`)).status, 200);

  // The fault is injected where a KMS would fail: behind the interface of the signer.
  const signer = at.service.app.signers.audit;
  const sign = signer.sign.bind(signer);
  const away = async (): Promise<never> => {
    throw new Error('the key is away');
  };
  Object.assign(signer, { sign: away });

  const refused = await at.call('operator', 'POST', `${stopped}/start`);
  t.equal(refused.status, 503, refused.text);
  t.equal(refused.body.code, 'SIGNER_UNAVAILABLE');
  t.ok(refused.headers['retry-after']);
  t.equal((await at.call('operator', 'GET', `${stopped}/status`)).body.status, 'stopped', 'nothing changed');
  const created = await at.call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: { name: 'x' } });
  t.equal(created.status, 503);

  const halted = await at.call('operator', 'POST', `${running}/stop`);
  t.match(halted, { status: 200, body: { status: 'stopped' } }, halted.text);
  await until('not ready', async () => !(await ready(at)), 5000);
  t.match(JSON.parse((await ops(at, '/readyz')).text), { checks: { audit: { ok: false }, signers: { ok: false } } });
  t.equal((await ops(at, '/livez')).status, 200);

  Object.assign(signer, { sign });
  await until('ready again, the events signed over', () => ready(at), RECOVERED_WITHIN_MS);
  const { rows } = await at.database.query(
    `SELECT event_type, sign_mode FROM audit_events WHERE chain = 'demo' ORDER BY seq DESC LIMIT 2`,
  );
  t.equal(rows[0].event_type, 'audit.deferred.covered');
  t.equal(rows[1].sign_mode, 'deferred');
  t.equal((await at.call('operator', 'POST', `${stopped}/start`)).status, 200);
  const { code, report } = await verifyJson(['--database-url', at.database.superuserUrl]);
  t.equal(code, 0, JSON.stringify(report.findings));
});
