import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';

import { createClient } from '../../packages/client/src/index.ts';
import { runExport, verifyJson } from '../audit-verify/support/run.ts';
import { cli } from '../cli/run.ts';
import { until } from '../support/process.ts';
import { openWorld } from './support/world.ts';

const PATH = '/v1/workspaces/demo/audit/export';
/** Enough that neither the sockets nor the streams hold all of it. */
const MANY = 40_000;

const world = await openWorld(t);
const url = ['--database-url', world.database.superuserUrl];
await world.governedAgent('demo');

t.test('what is exported is what the command writes, and verifies', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-export-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const signers = join(dir, 'signers.json');
  await writeFile(signers, (await cli(['signers', 'export', ...url])).out);
  for (const [path, chain] of [
    [PATH, 'demo'],
    ['/v1/audit/export', '_system'],
  ] as const) {
    const { headers, text } = await world.expect(200, 'auditor', 'GET', path);
    t.equal(headers['content-type'], 'application/jsonl');
    t.equal(text, (await runExport([...url, '--chain', chain])).out, chain);
    const file = join(dir, `${chain}.jsonl`);
    await writeFile(file, text);
    const { code, report } = await verifyJson(['--export', file, '--signers', signers, '--chain', chain]);
    t.equal(code, 0, JSON.stringify(report));
    t.equal(report.events, text.trimEnd().split('\n').length);
  }
});

t.test('from a seq on; past the end there is nothing', async (t) => {
  const all = (await world.expect(200, 'kernel-admin', 'GET', PATH)).text.split(/(?<=\n)/);
  t.equal((await world.expect(200, 'auditor', 'GET', `${PATH}?from=2`)).text, all.slice(1).join(''));
  t.equal((await world.expect(200, 'auditor', 'GET', `${PATH}?from=${all.length + 1}`)).text, '');
  for (const from of ['0', '-1', 'x', '']) await world.expect(400, 'auditor', 'GET', `${PATH}?from=${from}`);
});

t.test('what people wrote is not in it', async (t) => {
  const agentId = await world.sandboxAgent('demo');
  const path = `/v1/workspaces/demo/agents/${agentId}/quarantine`;
  await world.expect(200, 'kernel-admin', 'POST', path, { reason: 'a word of somebody' });
  t.match((await world.expect(200, 'auditor', 'GET', '/v1/workspaces/demo/audit/events')).text, /a word of somebody/);
  const { text } = await world.expect(200, 'auditor', 'GET', PATH);
  t.match(text, agentId);
  t.notMatch(text, /a word of somebody|"personal"/);
});

t.test('only for those who may read the audit', async (t) => {
  const nowhere = '/v1/workspaces/nowhere/audit/export';
  for (const [who, path, status, code] of [
    ['operator', PATH, 403, 'PERMISSION_DENIED'],
    ['operator', '/v1/audit/export', 403, 'PERMISSION_DENIED'],
    ['outsider', PATH, 404, 'NOT_FOUND'],
    ['outsider', nowhere, 404, 'NOT_FOUND'],
    ['auditor', nowhere, 404, 'NOT_FOUND'],
  ] as const) {
    const answer = await world.call(who, 'GET', path);
    t.match(answer, { status, body: { code } }, `${who} ${path}`);
  }
});

t.test('the client gives the lines as a text', async (t) => {
  const pem = (name: string) => join(world.certsDir, name);
  await using client = await createClient({
    serverUrls: [world.service.apiUrl],
    caCertPemRef: pem('ca.crt'),
    clientCertPemRef: pem('auditor.crt'),
    clientKeyPemRef: pem('auditor.key'),
  });
  const { body } = await client.request('exportAudit', { params: { workspaceId: 'demo' } });
  t.equal(body, (await world.expect(200, 'auditor', 'GET', PATH)).text);
});

t.test('two at once and one of each chain, while the log is held', async (t) => {
  const third = await world.workspace();
  await held(async (release) => {
    const first = world.call('auditor', 'GET', PATH);
    await exporting(1);
    const second = world.call('auditor', 'GET', '/v1/workspaces/other/audit/export');
    await exporting(2);
    for (const path of [PATH, `/v1/workspaces/${third}/audit/export`]) {
      const refused = await world.expect(503, 'auditor', 'GET', path);
      t.equal(refused.body.code, 'OVERLOADED');
    }
    await release();
    t.same(
      (await Promise.all([first, second])).map(({ status }) => status),
      [200, 200],
    );
  });
  await world.expect(200, 'auditor', 'GET', PATH);
});

t.test('a long chain: who goes away gives back the place, and a failure in the middle cuts the body', async (t) => {
  // Copies of one event, which nobody verifies, past the chain's end.
  await world.sql(
    `INSERT INTO audit_events SELECT copy.* FROM
       (SELECT e FROM audit_events AS e WHERE chain = 'other' ORDER BY seq LIMIT 1) AS first, generate_series(1, $1) AS n,
       jsonb_populate_record(first.e, jsonb_build_object('seq', 100000 + n, 'id', gen_random_uuid(),
         'hash', md5('a' || n) || md5('b' || n), 'prev_hash', md5('c' || n) || md5('d' || n))) AS copy`,
    [MANY],
  );
  const path = '/v1/workspaces/other/audit/export';

  const left = await begun(path);
  await exporting(1);
  left.destroy();
  await exporting(0);

  const cut = await begun(path);
  await exporting(1);
  await world.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${EXPORTING}`);
  const ended = once(cut, 'end');
  cut.resume();
  await t.rejects(ended, { code: 'ECONNRESET' });
  t.equal(cut.complete, false);

  const whole = await world.expect(200, 'auditor', 'GET', path);
  t.ok(whole.text.trimEnd().split('\n').length > MANY);
});

const EXPORTING = `application_name = 'castellan audit verify' AND datname = current_database()`;

async function exporting(count: number): Promise<void> {
  await until(`${count} connections`, async () => {
    const { rows } = await world.database.query(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE ${EXPORTING}`);
    return rows[0]?.n === count;
  });
}

/** An answer of which nothing is read yet. */
async function begun(path: string): Promise<IncomingMessage> {
  const pem = (name: string) => readFileSync(join(world.certsDir, name));
  const outgoing = request(new URL(path, world.service.apiUrl), {
    ca: pem('ca.crt'),
    cert: pem('auditor.crt'),
    key: pem('auditor.key'),
    agent: false,
  });
  outgoing.end();
  const [response]: IncomingMessage[] = await once(outgoing, 'response');
  if (response === undefined) throw new Error('no answer');
  return response;
}

/** While `work` runs no one can read the events, until it lets them. */
async function held(work: (release: () => Promise<unknown>) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: world.database.superuserUrl });
  await client.connect();
  try {
    await client.query('BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE');
    await work(() => client.query('ROLLBACK'));
  } finally {
    await client.end();
  }
}
