import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import { makeAuthority } from '../../src/certs/authority.ts';
import { inForce } from '../certs/material.ts';
import { asPem, HOUR, type ListRequest, makeList } from '../identity/revocation/lists.ts';
import { OPENSSL, OpensslAuthority, responder } from '../identity/revocation/responder.ts';
import { until } from '../support/process.ts';
import { type TestService, testCertificates, testService } from '../support/service.ts';
import { ownFiles } from '../trust/mounted.ts';
import { openConnection } from './support/live-connection.ts';

/** ms: by then nothing of who was taken back is open anywhere. */
const GONE_WITHIN = 5000;
const AGENTS = '/v1/workspaces/demo/agents';
const certsDir = await testCertificates(t);
const files = await ownFiles(t);
const pem = (name: string) => readFileSync(join(certsDir, name), 'utf8');
const certificateOf = (who: string) => new X509Certificate(pem(`${who}.crt`));
const authority = { cert: pem('ca.crt'), key: pem('ca.key') };
const NONE = { serials: [], serialsFile: undefined, crlFiles: [], ocsp: 'off', ocspUrl: undefined } as const;

/** Whether the replica is ready as far as certificates are. */
async function ready(at: TestService): Promise<boolean> {
  const text = await (await fetch(`${at.service.opsUrl}/readyz`)).text();
  return JSON.parse(text).checks.certificates.ok === true;
}

async function reasons(at: TestService): Promise<string[]> {
  const { rows } = await at.database.query(
    `SELECT payload ->> 'reason' AS reason FROM audit_events WHERE event_type = 'access.denied' ORDER BY seq`,
  );
  return rows.map(({ reason }) => reason);
}

/** What was written of a type, without the digests. */
async function written(at: TestService, type: string): Promise<Record<string, unknown>[]> {
  const { rows } = await at.database.query(
    `SELECT payload - 'digest' AS payload FROM audit_events WHERE event_type = $1 ORDER BY chain, seq`,
    [type],
  );
  return rows.map(({ payload }) => payload);
}

/** As somebody careful replaces a file. */
async function put(path: string, contents: string | Buffer): Promise<void> {
  await writeFile(`${path}.new`, contents);
  await rename(`${path}.new`, path);
}

for (const [why, lock] of [
  ['a principal', { principalId: 'operator' }],
  ['a certificate', { serial: certificateOf('operator').serialNumber }],
] as const) {
  t.test(`${why} that is locked loses what it has open on every replica`, async (t) => {
    const one = await testService(t, { certsDir });
    const two = await testService(t, { replicaOf: one });
    const open = [one, two].flatMap((at) => [openConnection(t, at, 'operator'), openConnection(t, at, 'operator')]);
    const [idle, busy, idleThere, busyThere] = await Promise.all(open);
    const other = await openConnection(t, two, 'orchestrator');
    const all = [idle, busy, idleThere, busyThere].filter((connection) => connection !== undefined);
    for (const connection of [...all, other]) t.equal(await connection.ask(), 200);
    busy?.begin();
    busyThere?.begin();
    other.begin();
    const placed = await one.call('kernel-admin', 'POST', '/v1/access/locks', { ...lock, reason: 'stolen' });
    t.equal(placed.status, 201, placed.text);
    await until('all are closed', async () => all.every((connection) => connection.isClosed()), GONE_WITHIN);
    t.notOk(other.isClosed(), 'the others stay');
    for (const at of [one, two]) t.equal((await at.call('operator', 'GET', AGENTS)).status, 401);
    const path = `/v1/access/locks/${placed.body.lockId}`;
    t.equal((await two.call('kernel-admin', 'DELETE', path, { reason: 'found' })).status, 200);
    t.equal((await two.call('operator', 'GET', AGENTS)).status, 200);
    await until(
      'back on the other',
      async () => (await one.call('operator', 'GET', AGENTS)).status === 200,
      GONE_WITHIN,
    );
  });
}

t.test('the database is away: the locks that were known stay in force', async (t) => {
  const at = await testService(t, { certsDir });
  const lock = { principalId: 'operator', reason: 'stolen' };
  t.equal((await at.call('kernel-admin', 'POST', '/v1/access/locks', lock)).status, 201);
  const { storage } = at.service.app;
  const system = storage.system.bind(storage);
  Object.assign(storage, {
    system: async () => {
      throw new Error('the database is away');
    },
  });
  t.teardown(() => Object.assign(storage, { system }));
  await t.rejects(at.service.app.refreshLocks());
  t.equal((await at.call('operator', 'GET', AGENTS)).status, 401);
});

t.test('a list of serial numbers that changes', async (t) => {
  const file = join(t.testdir(), 'serials');
  await put(file, '# nobody yet\n');
  const identity = { revocation: { ...NONE, serialsFile: file } };
  const one = await testService(t, { certsDir, identity });
  const two = await testService(t, { certsDir, identity, replicaOf: one });
  const connections = await Promise.all([one, two].map((at) => openConnection(t, at, 'operator')));
  for (const connection of connections) t.equal(await connection.ask(), 200);
  await put(file, `# stolen\n${certificateOf('operator').serialNumber.toLowerCase()} # by whom\n`);
  await until('both are closed', async () => connections.every((one) => one.isClosed()), GONE_WITHIN);
  t.equal((await one.call('operator', 'GET', AGENTS)).status, 401);
  t.equal((await one.call('orchestrator', 'GET', AGENTS)).status, 200);
  t.match((await reasons(one)).at(-1), 'CERTIFICATE_REVOKED');
  await put(file, 'not hex\n');
  await until('refused', async () => (await written(one, 'identity.reload.refused')).length > 0, GONE_WITHIN);
  t.match((await written(one, 'identity.reload.refused'))[0], { source: 'revoked_serials', problem: /line 1/ });
  t.equal((await one.call('operator', 'GET', AGENTS)).status, 401, 'what was in force stays');
  t.ok(await ready(one));
});

t.test('revocation lists that change', async (t) => {
  const file = join(t.testdir(), 'clients.crl');
  const serial = certificateOf('operator').serialNumber;
  const list = async (request: ListRequest) => put(file, asPem(await makeList(authority, request)));
  await list({ number: 1 });
  let moved = 0;
  const identity = { revocation: { ...NONE, crlFiles: [file] } };
  const at = await testService(t, { certsDir, identity, clock: () => Date.now() + moved });
  const mine = await openConnection(t, at, 'operator');
  const other = await openConnection(t, at, 'orchestrator');
  for (const connection of [mine, other]) t.equal(await connection.ask(), 200);
  await list({ number: 2, serials: [serial] });
  await until('it is closed', async () => mine.isClosed(), GONE_WITHIN);
  t.equal(await other.ask(), 200);
  t.equal((await at.call('operator', 'GET', AGENTS)).status, 401);
  await until('it is written', async () => (await written(at, 'revocations.applied')).length === 2, GONE_WITHIN);
  t.match((await written(at, 'revocations.applied'))[1], {
    source: 'crl:1',
    crlNumber: '2',
    entries: 1,
    closedConnections: 1,
  });
  await list({ number: 1 });
  await until(
    'the older one is refused',
    async () => (await written(at, 'identity.reload.refused')).length > 0,
    GONE_WITHIN,
  );
  t.match((await written(at, 'identity.reload.refused'))[0], { source: 'crl', problem: /older than the one in force/ });
  t.equal((await at.call('operator', 'GET', AGENTS)).status, 401);
  const metrics = await (await fetch(`${at.service.opsUrl}/metrics`)).text();
  t.match(metrics, /castellan_certificate_days_left\{certificate="crl:1"\} 0\.0/);

  t.ok(await ready(at));
  moved = 2 * HOUR;
  t.equal((await at.call('orchestrator', 'GET', AGENTS)).status, 401, 'a list that is over vouches for nobody');
  t.equal((await reasons(at)).at(-1), 'CERTIFICATE_STATUS_UNKNOWN');
  t.notOk(await ready(at));
  await list({ number: 3, thisUpdate: Date.now() + HOUR, nextUpdate: Date.now() + 3 * HOUR });
  await until('ready again', () => ready(at), GONE_WITHIN);
  t.equal((await at.call('operator', 'GET', AGENTS)).status, 200);
});

t.test('lists of an authority that is not, not yet and not any more in the client CA file', async (t) => {
  const file = join(files.dir, 'clients.crl');
  const other = await makeAuthority('another', inForce);
  const mine = (number: number, serials: string[] = []) => makeList(authority, { number, serials });
  const theirs = await makeList(other);
  await put(file, theirs);
  const identity = { ...files.identity, revocation: { ...NONE, crlFiles: [file] } };
  const start = () => testService(t, { certsDir, identity, api: files.api });
  const problems = [/^crl: .*no authority of the client CA file/];
  await t.rejects(start(), { name: 'ConfigError', problems }, 'not at a start');

  await put(file, asPem(await mine(8, [certificateOf('operator').serialNumber])));
  const at = await start();
  const open = await openConnection(t, at, 'orchestrator');
  const refusals = () => written(at, 'identity.reload.refused');
  const refused = (count: number) =>
    until(`refusal ${count}`, async () => (await refusals()).length === count, GONE_WITHIN);
  const stands = async (why: string) => {
    t.equal(await open.ask(), 200, why);
    t.equal((await at.call('operator', 'GET', AGENTS)).status, 401, why);
    t.ok(await ready(at), why);
  };
  await stands('at first');

  await put(file, asPem(theirs));
  await refused(1);
  t.match((await refusals())[0], { source: 'crl', problem: /no authority of the client CA file/ });
  const metrics = await (await fetch(`${at.service.opsUrl}/metrics`)).text();
  t.match(metrics, /castellan_identity_reloads_total\{source="crl",outcome="refused"\} 1/);
  await stands('a list of nobody that is trusted');
  await put(file, asPem(await mine(1)));
  await refused(2);
  t.match((await refusals())[1], { source: 'crl', problem: /older/ });
  await stands('an older one after it');

  const ninth = await mine(9, [certificateOf('operator').serialNumber]);
  const both = asPem(ninth, theirs);
  await put(file, both);
  await refused(3);
  await stands('the list of an authority that is to come');
  const applied = async () => (await written(at, 'revocations.applied')).length;
  await files.put('ca.crt', `${authority.cert}${other.cert}`);
  await until('taken with its authority', async () => (await applied()) === 2, GONE_WITHIN);
  await stands('both');
  await files.put('ca.crt', authority.cert);
  await refused(4);
  await stands('the authority is gone, its list is not');
  await put(file, asPem(ninth));
  await until('in force again', async () => (await applied()) === 3, GONE_WITHIN);
  await stands('the list is gone, too');

  await files.put('ca.crt', `${authority.cert}${other.cert}`);
  await until('not ready', async () => !(await ready(at)), GONE_WITHIN);
  t.equal(await open.ask(), 200, 'who has a list goes on');
  await put(file, both);
  await until('ready again', () => ready(at), GONE_WITHIN);
});

t.test('a responder has to say that a client is good', { skip: OPENSSL ? false : 'there is no openssl' }, async (t) => {
  const paths = { crt: join(certsDir, 'ca.crt'), key: join(certsDir, 'ca.key') };
  const issuer = new OpensslAuthority(t.testdir(), 'dev', paths);
  const pairOf = (who: string) => ({ crt: '', key: '', certificate: certificateOf(who) });
  issuer.set(pairOf('operator'), 'V');
  issuer.set(pairOf('orchestrator'), 'R');
  let away = false;
  const asked = await responder(t, async (body, response) => {
    if (!away) return issuer.answer(body);
    response.writeHead(503).end();
    return undefined;
  });
  const at = await testService(t, {
    certsDir,
    identity: { revocation: { ...NONE, ocsp: 'require', ocspUrl: asked.url } },
  });
  t.equal((await at.call('orchestrator', 'GET', AGENTS)).status, 401);
  t.equal((await reasons(at)).at(-1), 'CERTIFICATE_REVOKED');
  away = true;
  t.equal((await at.call('operator', 'GET', AGENTS)).status, 401, 'nobody says so');
  t.equal((await reasons(at)).at(-1), 'CERTIFICATE_STATUS_UNKNOWN');
  away = false;
  await until('asked again', async () => (await at.call('operator', 'GET', AGENTS)).status === 200, GONE_WITHIN);
  t.equal((await at.call('agent', 'GET', AGENTS)).status, 401, 'the responder does not know it');
  const before = asked.asked();
  for (let n = 0; n < 5; n += 1) t.equal((await at.call('operator', 'GET', AGENTS)).status, 200);
  t.equal(asked.asked(), before, 'what it said is kept');
  away = true;
  t.equal((await at.call('operator', 'GET', AGENTS)).status, 200, 'also while it is away');
});
