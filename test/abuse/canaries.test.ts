import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';

import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { testDatabase } from '../support/database.ts';
import { castellan, exitWithin, testHome, until } from '../support/process.ts';
import { type Answer, caller, testCertificates } from '../support/service.ts';
import { SPEC } from '../system/support/world.ts';

const run = randomBytes(6).toString('hex');
const canary = (label: string) => `canary-${label}-${run}`;

/** What nobody may ever see again. */
const SECRETS = ['authorization', 'cookie', 'app-password', 'system-password'];
/** What a caller wrote for the readers of the audit. */
const IN_AUDIT = new Set([
  'display-name',
  'quarantine-reason',
  'release-reason',
  'stop-reason',
  'justification',
  'reload-reason',
]);

/** The longest line of a PEM: enough to know a key by. */
function keyLine(pem: string): string {
  return pem.split('\n').toSorted((a, b) => b.length - a.length)[0] ?? '';
}

async function freePort(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const address = probe.address();
    probe.close(() => resolve(typeof address === 'object' && address !== null ? String(address.port) : ''));
  });
  return promise;
}

t.test('secrets and what callers write are nowhere but where they belong', async (t) => {
  const database = await testDatabase(t);
  const { home } = await testHome(t);
  const certsDir = await testCertificates(t);
  const suffix = database.name.split('_').at(-1);
  const login = async (url: string, role: string, label: string) => {
    const name = `${role}_canary_${suffix}`;
    await database.query(`CREATE ROLE ${name} LOGIN PASSWORD '${canary(label)}' IN ROLE ${role}`);
    t.teardown(() => database.query(`DROP ROLE ${name}`));
    return Object.assign(new URL(url), { username: name, password: canary(label) }).href;
  };
  const keys = { audit: generateEd25519().privateKeyPem, proof: generateEd25519().privateKeyPem };
  for (const [name, pem] of Object.entries(keys)) await writeFile(join(home, `${name}.pem`), pem, { mode: 0o600 });
  const [apiPort, opsPort] = [await freePort(), await freePort()];
  const running = castellan(t, ['serve'], {
    NODE_ENV: 'development',
    DATABASE_URL: await login(database.appUrl, 'castellan_app', 'app-password'),
    CASTELLAN_DATABASE_SYSTEM_URL: await login(database.systemUrl, 'castellan_system', 'system-password'),
    CASTELLAN_API_PORT: apiPort,
    CASTELLAN_OPS_PORT: opsPort,
    CASTELLAN_API_TLS_CERT_FILE: join(certsDir, 'server.crt'),
    CASTELLAN_API_TLS_KEY_FILE: join(certsDir, 'server.key'),
    CASTELLAN_API_TLS_CLIENT_CA_FILE: join(certsDir, 'ca.crt'),
    CASTELLAN_IDENTITY_MAP_FILE: join(certsDir, 'identity-map.json'),
    CASTELLAN_AUDIT_SIGNING_KEY_FILE: join(home, 'audit.pem'),
    CASTELLAN_PROOF_SIGNING_KEY_FILE: join(home, 'proof.pem'),
    CASTELLAN_LOG_LEVEL: 'trace',
  });
  const ready = async () => (await fetch(`http://127.0.0.1:${opsPort}/readyz`).catch(() => undefined))?.status === 200;
  await until('ready', async () => running.child.exitCode !== null || (await ready()), 60_000);
  t.equal(running.child.exitCode, null, running.stderr());

  const written = new Set(SECRETS);
  const write = (label: string) => {
    written.add(label);
    return canary(label);
  };
  const call = caller(`https://127.0.0.1:${apiPort}`, certsDir);
  const all: Answer[] = [];
  /** Those that are not documented to show what the caller wrote. */
  let answers: Answer[] = [];
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    extra: Record<string, string> = {},
    who = 'kernel-admin',
  ) => {
    const headers = {
      cookie: `session=${canary('cookie')}`,
      'x-custom': write('header'),
      'user-agent': write('user-agent'),
      'idempotency-key': `${write('idempotency-key')}-${all.length}`,
      ...extra,
    };
    const answer = await call(who, method, path, body, headers);
    all.push(answer);
    answers.push(answer);
    return answer;
  };

  const base = '/v1/workspaces/demo';
  for (const scheme of ['Bearer', 'Basic']) {
    const authorization = `${scheme} ${canary('authorization')}`;
    t.equal((await send('GET', '/v1/workspaces', undefined, { authorization }, 'operator')).status, 401);
    t.equal((await send('GET', '/v1/workspaces', undefined, { authorization }, 'gateway')).status, 401);
  }
  await send('POST', '/v1/workspaces', { workspaceId: 'demo', displayName: write('display-name') });
  const spec = {
    ...SPEC,
    description: write('description'),
    instructions: write('instructions'),
    labels: { team: write('label') },
    runtime: { command: ['run', write('argument')], env: { TOKEN: write('env') } },
  };
  const created = await send('POST', `${base}/agents`, { spec });
  t.equal(created.status, 201, created.text);
  const agent = `${base}/agents/${created.body.id}`;
  // What is documented to show them.
  const shown = await send('GET', agent);
  t.match(shown.text, canary('env'), 'the own spec, as it was sent');
  answers = [];

  await send('POST', `${agent}/start`, {});
  await send('POST', `${agent}/stop`, { reason: write('stop-reason') });
  await send('POST', `${agent}/quarantine`, { reason: write('quarantine-reason') });
  await send('POST', `${agent}/release`, { reason: write('release-reason') });
  answers = [];
  await send('POST', `${agent}/promote`, { justification: write('justification') });
  answers = [];
  await send('GET', `${base}/agents?search=${write('search')}`);
  await send('GET', `${base}/agents?limit=${write('bad-limit')}`);
  await send('GET', `${base}/agents?cursor=${write('bad-cursor')}`);
  await send('GET', `${base}/decisions?from=${write('bad-time')}`);
  await send('GET', `${base}/agents/${write('agent-id')}`);
  await send('GET', `/v1/workspaces/${write('workspace')}/agents`, undefined, {}, 'operator');
  await send('GET', `/v1/${write('path')}`);
  await send('GET', `${base}/policy/snapshot`, undefined, {
    'if-none-match': write('etag'),
    'x-request-id': `${write('request-id')} bad`,
  });
  await send('PATCH', agent, { spec: {} }, { 'if-match': write('if-match') });
  await send('POST', `${base}/agents`, `{"spec":{"name":"${write('cut-off')}`);
  await send('POST', `${base}/agents`, `{"spec":{"name":"a","budget":{"monthlyUsd":"${write('wrong-type')}"}}}`);
  await send('POST', `${base}/agents`, `{"spec":{"name":"a","description":"${write('lone')}\\ud800"}}`);
  await send('POST', `${base}/agents`, write('text'), { 'content-type': 'text/plain' });
  await send('POST', '/v1/signers', {
    signerId: 'k',
    alg: 'Ed25519',
    purpose: 'manifest',
    publicKey: write('public-key'),
  });
  await send('POST', `${base}/proofs/verify`, { proof: { payload: write('proof'), signatures: [] } });
  await send('POST', `${base}/policy/hotreload`, {
    policySet: 'default',
    bundle: {
      modules: { 'promotion.rego': `package castellan.promotion\n# ${write('module')}\ndeny := ` },
      data: { secret: write('data') },
    },
    reason: write('reload-reason'),
  });
  await send('POST', `${base}/audit/verify`);

  const metrics = await (await fetch(`http://127.0.0.1:${opsPort}/metrics`)).text();
  const { rows: events } = await database.query('SELECT event_type, payload::text AS payload, body FROM audit_events');
  const { rows: decisions } = await database.query('SELECT d::text AS row FROM decisions d');
  running.child.kill('SIGTERM');
  await exitWithin(running, 20_000);
  const logs = running.stdout() + running.stderr();
  t.ok(logs.split('\n').length > answers.length, 'there are lines to be searched');

  const found = (text: string, label: string) => text.includes(canary(label));
  for (const label of written) {
    t.notOk(found(logs, label), `${label} in the logs`);
    t.notOk(found(metrics, label), `${label} in the metrics`);
    t.same(
      (SECRETS.includes(label) ? all : answers).filter(({ text }) => found(text, label)).map(({ text }) => text),
      [],
      `${label} in an answer`,
    );
    t.notOk(
      decisions.some(({ row }) => found(row, label)),
      `${label} in a decision`,
    );
    if (IN_AUDIT.has(label)) continue;
    const holding = events.filter(({ payload, body }) => found(payload, label) || found(String(body), label));
    t.same(
      holding.map(({ event_type, payload }) => [event_type, payload]),
      [],
      `${label} in the audit`,
    );
  }
  const tlsKey = readFileSync(join(certsDir, 'server.key'), 'utf8');
  const everything = [logs, metrics, ...all.map(({ text }) => text), ...events.map(({ body }) => String(body))].join(
    '\n',
  );
  for (const [name, pem] of Object.entries({ ...keys, tls: tlsKey })) {
    t.notOk(everything.includes(keyLine(pem)), `the ${name} key`);
  }
});
