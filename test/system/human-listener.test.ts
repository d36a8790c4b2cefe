import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import t from 'tap';

import { createClient } from '../../packages/client/src/index.ts';
import { MAX_CONNECTION_AGE } from '../../src/http/drain.ts';
import { exchange, openRaw, openTcp } from '../abuse/support/raw.ts';
import { CASES, SMUGGLED_NAME } from '../abuse/support/smuggling.ts';
import { until } from '../support/process.ts';
import type { TestService } from '../support/service.ts';
import { ALICE, BOB, tokenWorld } from './support/token-world.ts';

let skew = 0;
const world = await tokenWorld(t, {
  identity: { human: { host: '127.0.0.1', port: 0, certFile: undefined, keyFile: undefined } },
  clock: () => Date.now() + skew,
});
const { provider, certsDir, service, database } = world;
const { humanUrl = '' } = service;
const { hostname, port } = new URL(humanUrl);
const ca = readFileSync(join(certsDir, 'ca.crt'));
const agent = new Agent({ keepAlive: true, ca, maxSockets: 8 });
t.teardown(() => agent.destroy());
/** The same, as the raw connections take it. */
const humans: TestService = { ...world, service: { ...service, apiUrl: humanUrl } };
const AGENTS = '/v1/workspaces/demo/agents';
const pem = (name: string) => readFileSync(join(certsDir, name));

async function ask(token: string | undefined, method: string, path: string, more: object = {}) {
  const { body, headers, ...options } = Object(more);
  const outgoing = request({
    agent,
    hostname,
    port,
    method,
    path,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...options,
  });
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await once(outgoing, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  return { status: response.statusCode, headers: response.headers, body: text === '' ? {} : JSON.parse(text) };
}

async function reasons(): Promise<string[]> {
  const { rows } = await database.query(
    `SELECT payload->>'reason' AS reason FROM audit_events
     WHERE chain = '_system' AND event_type = 'access.denied' ORDER BY seq DESC LIMIT 5`,
  );
  return rows.map(({ reason }) => reason);
}

t.test('a person with a token and no certificate', async (t) => {
  const token = await provider.login(BOB);
  const made = await ask(token, 'POST', AGENTS, { body: { spec: { name: 'of a person' } } });
  t.equal(made.status, 201);
  t.equal((await ask(token, 'GET', AGENTS)).status, 200);
  t.equal((await ask(token, 'GET', '/openapi.json')).status, 200);
  t.equal((await ask(token, 'POST', '/v1/signers/x/revoke', { body: { reason: 'r' } })).status, 403);
  t.equal((await ask(token, 'GET', '/v1/workspaces/other/agents')).status, 404);
});

t.test('nobody without a token', async (t) => {
  const answer = await ask(undefined, 'GET', AGENTS);
  t.match(answer, { status: 401, body: { code: 'UNAUTHENTICATED' }, headers: { 'www-authenticate': 'Bearer' } });
  t.not(answer.headers.connection, 'close');
  t.equal((await reasons())[0], 'NO_TOKEN');
  t.equal((await ask(undefined, 'GET', '/nowhere')).status, 401, 'a stranger learns no routes');
  t.equal((await ask(undefined, 'GET', '/api/v1/templates')).status, 401);
  t.equal((await ask(undefined, 'GET', '/openapi.json')).status, 401);
});

t.test('a certificate is nothing here', async (t) => {
  const more = { agent: false, ca, cert: pem('kernel-admin.crt'), key: pem('kernel-admin.key') };
  t.equal((await ask(undefined, 'GET', AGENTS, more)).status, 401);
});

t.test('a service goes elsewhere, and a token of a person needs a gateway elsewhere', async (t) => {
  t.equal((await ask(await provider.service('service-a'), 'GET', AGENTS)).status, 401);
  t.equal((await reasons())[0], 'TOKEN_NOT_OF_A_HUMAN');
  const header = { authorization: `Bearer ${await provider.login(BOB)}` };
  t.equal((await world.call('operator', 'GET', AGENTS, undefined, header)).status, 401);
});

t.test('a token that is bound to a certificate is of no use without it', async (t) => {
  const token = await provider.service('service-bound', pem('gateway.crt').toString());
  t.equal((await ask(token, 'GET', AGENTS)).status, 401);
});

t.test('what is for machines is not here', async (t) => {
  const token = await provider.login(ALICE);
  const spawn = { body: { agent_config: { name: 'x' }, workspace_id: 'demo' } };
  t.equal((await ask(token, 'POST', '/api/v1/agent/spawn', spawn)).status, 404);
  t.equal((await ask(token, 'GET', '/mcp')).status, 404);
  t.equal((await ask(token, 'GET', '/v1/signers')).status, 200, 'although the token gives everything');
});

t.test('a proxy is none here', async (t) => {
  const headers = { 'x-forwarded-client-cert': 'URI=spiffe://castellan.dev/human/kernel-admin' };
  for (const token of [undefined, await provider.login(ALICE)]) {
    t.equal((await ask(token, 'GET', AGENTS, { headers })).status, 400);
  }
});

t.test('the same limits of what may be sent', async (t) => {
  const token = await provider.login(BOB);
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, nth) => [`x-${nth}`, 'a']));
  t.equal((await ask(token, 'GET', AGENTS, { headers: many })).status, 400);
  t.equal((await ask(token, 'POST', AGENTS, { body: { spec: { name: 'x'.repeat(2_000_000) } } })).status, 413);
  t.equal((await ask(token, 'GET', '/v1//workspaces')).status, 400);
});

const refused = CASES.filter(({ answers, stays }) => !stays && answers.length === 1 && answers[0] === 400);
const results = await Promise.all(refused.map(async ({ bytes }) => exchange(await openRaw(humans, 'operator'), bytes)));
t.test('requests of which two readers would make two', async (t) => {
  t.ok(refused.length > 20, String(refused.length));
  for (const [nth, { why }] of refused.entries()) {
    const { answers = [], rest, closed } = results[nth] ?? {};
    // 401 where the body would have been at fault: nobody reads it without a token.
    t.match(answers[0]?.status, /^40[01]$/, why);
    t.same([answers.length, rest, closed], [1, '', true], why);
  }
  t.equal((await ask(await provider.login(BOB), 'GET', `${AGENTS}?search=${SMUGGLED_NAME}`)).body.total, 0);
});

t.test('a session is never resumed, and old versions of TLS are refused', async (t) => {
  const socket = connect({ host: hostname, port: Number(port), ca });
  await once(socket, 'secureConnect');
  t.equal(socket.getProtocol(), 'TLSv1.3');
  t.notOk(socket.isSessionReused());
  socket.destroy();
  const old = connect({ host: hostname, port: Number(port), ca, maxVersion: 'TLSv1.2' });
  await t.rejects(once(old, 'secureConnect'));
});

t.test('the client with a token from the environment', async (t) => {
  const client = await createClient({
    serverUrls: [humanUrl],
    token: await provider.login(BOB),
    caCertPemRef: { pem: ca.toString() },
  });
  t.teardown(() => client.close());
  t.equal((await client.request('listAgents', { params: { workspaceId: 'demo' } })).status, 200);
});

t.test('a connection has its age', async (t) => {
  const token = await provider.login(BOB);
  const own = new Agent({ keepAlive: true, ca, maxSockets: 1 });
  t.teardown(() => own.destroy());
  t.not((await ask(token, 'GET', AGENTS, { agent: own })).headers.connection, 'close');
  skew = MAX_CONNECTION_AGE;
  t.equal((await ask(token, 'GET', AGENTS, { agent: own })).headers.connection, 'close');
  skew = 0;
});

t.test('who is slow is cut', async (t) => {
  Object.assign(service.app.humanListener?.server ?? {}, {
    headersTimeout: 300,
    requestTimeout: 500,
    keepAliveTimeout: 500,
  });
  const half = await openRaw(humans, 'operator');
  const answer = exchange(half, Buffer.from(`GET ${AGENTS} HTTP/1.1\r\nHost: a\r\nX: `));
  t.match((await answer).answers[0], { status: 408 });
  const silent = await openTcp(humans);
  silent.resume();
  // Its handshake has 5 s.
  await once(silent, 'close');
});

t.test('it drains and closes with the rest', async (t) => {
  const token = await provider.login(BOB);
  const idle = await openRaw(humans, 'operator');
  idle.resume();
  const closed = once(idle, 'close');
  service.drain();
  t.equal((await ask(token, 'GET', AGENTS)).headers.connection, 'close');
  const began = performance.now();
  await service.close();
  await closed;
  t.ok(performance.now() - began < 5_000, `${performance.now() - began} ms`);
  await t.rejects(openRaw(humans, 'operator'));
  await until('the listener is gone', () => service.app.humanListener?.server.listening === false);
});
