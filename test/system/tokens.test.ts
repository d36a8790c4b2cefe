import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createClient, optionsFromEnv } from '../../packages/client/src/index.ts';
import { until } from '../support/process.ts';
import { ALICE, BOB, tokenWorld } from './support/token-world.ts';

const world = await tokenWorld(t);
const { provider, call, certsDir, database } = world;

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const agents = '/v1/workspaces/demo/agents';
const create = (token: string, who = 'gateway') =>
  call(who, 'POST', agents, { spec: { name: 'of a token' } }, bearer(token));

/** 0: the connection was ended under the request. */
const statusOf = (token: string) =>
  create(token).then(
    ({ status }) => status,
    () => 0,
  );

/** The newest refusals in the system chain, by reason. */
async function refusals(): Promise<string[]> {
  const { rows } = await database.query(
    `SELECT payload->>'reason' AS reason FROM audit_events
     WHERE chain = '_system' AND event_type = 'access.denied' ORDER BY seq DESC LIMIT 20`,
  );
  return rows.map(({ reason }) => reason);
}

t.test('before anybody has a key of the provider', async (t) => {
  const token = await provider.login(ALICE);
  provider.health = 'down';
  const answer = await create(token);
  t.match(answer, { status: 503, body: { code: 'IDENTITY_PROVIDER_UNAVAILABLE' } });
  t.match(answer.headers['retry-after'], /^[1-9]/);
  provider.health = 'up';
  t.equal((await call('operator', 'GET', agents)).status, 200, 'certificates need no provider');
  await until('the token counts', async () => (await create(token)).status === 201, 10_000);
});

t.test('a person over the gateway: roles and workspaces of the token, and an id that says nothing', async (t) => {
  const made = await create(await provider.login(ALICE));
  t.equal(made.status, 201);
  const again = await create(await provider.login(ALICE));
  const { rows } = await database.query(
    "SELECT actor_id, actor_kind FROM audit_events WHERE chain = 'demo' AND event_type = 'agent.created' ORDER BY seq",
  );
  t.match(rows.at(-1), { actor_id: /^hu-[0-9a-f-]{36}$/, actor_kind: 'human' });
  t.equal(rows.at(-1)?.actor_id, rows.at(-2)?.actor_id, 'the same one with another token');
  t.equal(again.status, 201);
  t.equal((await call('gateway', 'GET', '/v1/signers', undefined, bearer(await provider.login(ALICE)))).status, 200);
  t.equal((await call('gateway', 'GET', '/v1/signers', undefined, bearer(await provider.login(BOB)))).status, 403);
  const other = '/v1/workspaces/other/agents';
  t.equal((await call('gateway', 'GET', other, undefined, bearer(await provider.login(ALICE)))).status, 200);
  t.equal((await call('gateway', 'GET', other, undefined, bearer(await provider.login(BOB)))).status, 404);
});

t.test('a service over the gateway', async (t) => {
  t.equal((await create(await provider.service('service-a'))).status, 201);
  const { rows } = await database.query(
    "SELECT actor_id, actor_kind FROM audit_events WHERE chain = 'demo' ORDER BY seq DESC LIMIT 1",
  );
  t.match(rows[0], { actor_id: /^sv-[0-9a-f-]{36}$/, actor_kind: 'service' });
});

t.test('a token that gives nothing opens nothing', async (t) => {
  t.equal((await create(await provider.login('stranger'))).status, 403);
  t.equal((await create(await provider.login('homeless'))).status, 404);
});

t.test('a token needs the certificate of a gateway, and a gateway needs a token', async (t) => {
  const token = await provider.login(ALICE);
  for (const who of ['operator', 'kernel-admin', 'orchestrator', 'agent']) {
    t.match(await create(token, who), { status: 401, body: { code: 'UNAUTHENTICATED' } }, who);
    t.equal((await refusals())[0], 'TOKEN_NOT_ACCEPTED');
  }
  t.equal((await call('gateway', 'GET', agents)).status, 403);
  const twice = await call('gateway', 'GET', agents, undefined, { Authorization: `Bearer ${token}, Bearer ${token}` });
  t.equal(twice.status, 401);
  t.equal(twice.headers['www-authenticate'], 'Bearer');
});

t.test('a token that is bound to a certificate', async (t) => {
  const pem = (name: string) => readFileSync(join(certsDir, `${name}.crt`), 'utf8');
  t.equal((await create(await provider.service('service-bound', pem('gateway')))).status, 201);
  t.equal((await create(await provider.service('service-bound', pem('operator')))).status, 401);
  t.equal((await refusals())[0], 'TOKEN_BOUND_ELSEWHERE');
});

t.test('the client with a token from the environment', async (t) => {
  const env = {
    EXTERNAL_ORCHESTRATOR_URL: world.service.apiUrl,
    EXTERNAL_ORCHESTRATOR_API_KEY: await provider.service('service-a'),
  };
  const { serverUrls = [], token } = optionsFromEnv(env);
  const pem = (name: string) => ({ pem: readFileSync(join(certsDir, name), 'utf8') });
  const client = await createClient({
    serverUrls,
    ...(token === undefined ? {} : { token }),
    caCertPemRef: pem('ca.crt'),
    clientCertPemRef: pem('gateway.crt'),
    clientKeyPemRef: pem('gateway.key'),
  });
  t.teardown(() => client.close());
  const { status } = await client.request('listAgents', { params: { workspaceId: 'demo' } });
  t.equal(status, 200);
});

t.test('a principal that is locked out, whatever token it brings', async (t) => {
  const token = await provider.login(BOB);
  t.equal((await create(token)).status, 201);
  const { rows } = await database.query(
    "SELECT actor_id FROM audit_events WHERE chain = 'demo' ORDER BY seq DESC LIMIT 1",
  );
  const principalId = String(rows[0]?.actor_id);
  const lock = await call('kernel-admin', 'POST', '/v1/access/locks', { principalId, reason: 'left' });
  t.equal(lock.status, 201);
  await until('the token counts no more', async () => (await create(token)).status === 401, 5000);
  t.equal((await create(await provider.login(BOB))).status, 401);
  t.equal((await refusals())[0], 'PRINCIPAL_LOCKED');
  t.equal((await create(await provider.login(ALICE))).status, 201);
});

t.test('the file of issuers is read again', async (t) => {
  const token = await provider.login(ALICE);
  const applied = async (type: string) =>
    (await database.query('SELECT count(*)::int AS n FROM audit_events WHERE event_type = $1', [type])).rows[0]?.n;
  const before = await applied('token.issuers.applied');
  await world.writeIssuers('{"issuers": [{"issuer": 1}]}');
  await until('the event', async () => (await applied('identity.reload.refused')) > 0, 5000);
  t.equal((await create(token)).status, 201, 'the last good ones stay in force');

  await world.writeIssuers('{"issuers": []}');
  await until('the token counts no more', async () => (await statusOf(token)) === 401, 5000);
  t.equal((await refusals())[0], 'TOKEN_ISSUER_UNKNOWN');
  await world.writeIssuers(world.issuers);
  await until('the token counts', async () => (await create(token)).status === 201, 5000);
  await until('the event', async () => (await applied('token.issuers.applied')) === before + 2, 5000);
});

t.test('nobody reads who it was where that could not be forgotten', async (t) => {
  const { rows } = await database.query(
    "SELECT count(*)::int AS n FROM audit_events WHERE convert_from(body, 'UTF8') ~ 'canary' OR payload::text ~ 'canary'",
  );
  t.equal(rows[0]?.n, 0);
  const people = await database.query('SELECT subject FROM people ORDER BY subject');
  t.ok(people.rows.some(({ subject }) => subject === ALICE));
});

t.test('who is behind an id is known to auditors, until it is erased', async (t) => {
  const found = await call('auditor', 'GET', `/v1/people?subject=${ALICE}`);
  t.match(found, { status: 200, body: { people: [{ kind: 'human', issuer: provider.issuer, subject: ALICE }] } });
  const [{ principalId }] = found.body.people;
  t.same((await call('auditor', 'GET', `/v1/people/${principalId}`)).body, found.body.people[0]);
  t.equal((await call('operator', 'GET', `/v1/people/${principalId}`)).status, 403);
  t.equal((await call('gateway', 'GET', '/v1/people', undefined, bearer(await provider.login(BOB)))).status, 401);
  t.equal((await call('auditor', 'GET', '/v1/people/hu-x')).status, 404);
  const page = await call('auditor', 'GET', '/v1/people?limit=1');
  t.equal(page.body.people.length, 1);
  const rest = await call('auditor', 'GET', `/v1/people?limit=500&cursor=${page.body.nextCursor}`);
  t.notOk(rest.body.people.some((one: { principalId: string }) => one.principalId === page.body.people[0].principalId));

  // Under another id whoever is locked out would be in again.
  const [bob] = (await call('auditor', 'GET', `/v1/people?subject=${BOB}`)).body.people;
  const erase = (actorId: string) => call('kernel-admin', 'POST', '/v1/audit/erasures', { actorId, reason: 'r' });
  t.match(await erase(bob.principalId), { status: 409, body: { code: 'CONFLICT' } });
  t.equal((await call('auditor', 'GET', `/v1/people/${bob.principalId}`)).status, 200);

  t.equal((await erase(principalId)).status, 200);
  t.equal((await call('auditor', 'GET', `/v1/people/${principalId}`)).status, 404);
  t.equal((await create(await provider.login(ALICE))).status, 201);
  const [again] = (await call('auditor', 'GET', `/v1/people?subject=${ALICE}`)).body.people;
  t.not(again.principalId, principalId);
});
