import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { Pool } from 'undici';
import { type Issued, issue, makeAuthority, newKey, validFor } from '../../src/certs/authority.ts';
import { parseIdentityMap } from '../../src/identity/identity-map.ts';
import { normalSerial } from '../../src/identity/serials.ts';
import { AGENT_ID, inForce, TRUST_DOMAIN, testAuthority } from '../certs/material.ts';
import { buildApp, listen, openTls, sendRaw } from '../http/fixture.ts';
import { type CertificateLoginOptions, certificateLogin } from './certificate-login.ts';

const OPERATOR = `spiffe://${TRUST_DOMAIN}/human/operator`;
const DAY = 86_400_000;
const AGENTS = '/v1/workspaces/demo/agents';

const material = await testAuthority();
const { client, authority, key } = material;
const foreign = await makeAuthority('another authority', inForce);
const impostor = await makeAuthority('test authority', inForce);
const person = (match: object, id: string) => ({ match, id, kind: 'human', roles: ['operator'], workspaces: ['demo'] });
const identityMap = parseIdentityMap(
  JSON.stringify({ principals: [person({ spiffe: OPERATOR }, 'operator'), person({ cn: 'named' }, 'named')] }),
  TRUST_DOMAIN,
);

async function serve(change: Partial<CertificateLoginOptions> & { minVersion?: 'TLSv1.2' } = {}) {
  const authenticate = certificateLogin({ identityMap, trustDomain: TRUST_DOMAIN, ...change });
  const app = await buildApp({
    ...material,
    authenticate,
    requireCertificate: change.skipForLoopback !== true,
    ...(change.minVersion === undefined ? {} : { minVersion: change.minVersion }),
  });
  t.teardown(() => app.close());
  return { app, port: await listen(app) };
}

const tlsOf = (pair?: Issued) => ({
  ca: authority.cert,
  ...(pair === undefined ? {} : { cert: pair.cert, key: pair.key }),
});

/** The status, or 'no answer' when the connection ends without one: a refused handshake looks like that in TLS 1.3. */
async function call(port: number, pair?: Issued, path = AGENTS) {
  try {
    const socket = await openTls(port, tlsOf(pair));
    const answer = await sendRaw(socket, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    if (answer.status === 0) return { status: 'no answer' as const, body: {} };
    return { status: answer.status, body: JSON.parse(answer.text.replace(/^[0-9a-f]+\r\n|\r\n.*$/g, '')) };
  } catch {
    return { status: 'no answer' as const, body: {} };
  }
}

const uri = (value: string) => ({ uri: value });
const cases: { why: string; pair: () => Promise<Issued | undefined>; status: number | 'no answer'; who?: string }[] = [
  { why: 'a mapped SPIFFE ID', pair: () => client(OPERATOR), status: 200, who: 'operator' },
  { why: 'no certificate', pair: async () => undefined, status: 'no answer' },
  {
    why: 'another authority',
    pair: () => issue(foreign, { commonName: 'x', names: [uri(OPERATOR)], usage: 'client', validity: inForce }, key),
    status: 'no answer',
  },
  {
    why: "another authority with our authority's name",
    pair: () => issue(impostor, { commonName: 'x', names: [uri(OPERATOR)], usage: 'client', validity: inForce }, key),
    status: 'no answer',
  },
  { why: 'serverAuth only', pair: () => client(OPERATOR, { usage: 'server' }), status: 'no answer' },
  { why: 'no extended key usage', pair: () => client(OPERATOR, { usage: 'none' }), status: 401 },
  { why: 'the authority itself as a client', pair: async () => authority, status: 'no answer' },
  {
    why: 'expired',
    pair: () =>
      client(OPERATOR, {
        validity: { notBefore: new Date(Date.now() - 2 * DAY), notAfter: new Date(Date.now() - DAY) },
      }),
    status: 'no answer',
  },
  {
    why: 'not yet valid',
    pair: () =>
      client(OPERATOR, {
        validity: { notBefore: new Date(Date.now() + DAY), notAfter: new Date(Date.now() + 2 * DAY) },
      }),
    status: 'no answer',
  },
  {
    why: 'two URIs',
    pair: () => client('', { names: [uri(OPERATOR), uri(`spiffe://${TRUST_DOMAIN}/human/other`)] }),
    status: 401,
  },
  { why: 'the same URI twice', pair: () => client('', { names: [uri(OPERATOR), uri(OPERATOR)] }), status: 401 },
  { why: 'a URI that is no SPIFFE ID', pair: () => client('https://castellan.dev/human/operator'), status: 401 },
  { why: 'a URI that hides a second name', pair: () => client(`${OPERATOR}, URI:${OPERATOR}`), status: 401 },
  { why: 'upper-case trust domain', pair: () => client('spiffe://CASTELLAN.dev/human/operator'), status: 401 },
  { why: 'a wrong trust domain', pair: () => client('spiffe://castellan.example/human/operator'), status: 401 },
  {
    why: 'an agent of a wrong trust domain',
    pair: () => client(`spiffe://castellan.example/ws/demo/agent/${AGENT_ID}`),
    status: 401,
  },
  { why: 'not in the map', pair: () => client(`spiffe://${TRUST_DOMAIN}/human/stranger`), status: 401 },
  {
    why: 'a DNS name beside the one URI',
    pair: () => client('', { names: [uri(OPERATOR), { dns: 'operator' }] }),
    status: 200,
    who: 'operator',
  },
  { why: 'a common name while they are off', pair: () => client('', { names: [], commonName: 'named' }), status: 401 },
  {
    why: 'a common name beside an unknown URI',
    pair: () => client(`spiffe://${TRUST_DOMAIN}/human/stranger`, { commonName: 'named' }),
    status: 401,
  },
  {
    why: 'an agent whose workspace is no workspace',
    pair: () => client(`spiffe://${TRUST_DOMAIN}/ws/_system/agent/${AGENT_ID}`),
    status: 401,
  },
  { why: 'an agent whose id is no id', pair: () => client(`spiffe://${TRUST_DOMAIN}/ws/demo/agent/root`), status: 401 },
  {
    why: 'a short key',
    pair: async () =>
      issue(
        authority,
        { commonName: 'x', names: [uri(OPERATOR)], usage: 'client', validity: inForce },
        await newKey(1024),
      ),
    status: 'no answer',
  },
];

const { port } = await serve();
for (const { why, pair, status, who } of cases) {
  t.test(why, async (t) => {
    const answer = await call(port, await pair());
    t.equal(answer.status, status, JSON.stringify(answer.body));
    if (status === 401) t.equal(answer.body.code, 'UNAUTHENTICATED');
    if (who !== undefined) t.equal(answer.body.who, who);
  });
}

t.test('an agent needs no entry and is nobody but itself', async (t) => {
  const id = `spiffe://${TRUST_DOMAIN}/ws/demo/agent/${AGENT_ID}`;
  const pair = await client(id);
  t.equal((await call(port, pair, `${AGENTS}/${AGENT_ID}`)).body.who, id);
  t.equal((await call(port, pair, `${AGENTS}/01975a00-0000-7000-8000-00000000000b`)).status, 404);
  t.equal((await call(port, pair, `/v1/workspaces/other/agents/${AGENT_ID}`)).status, 404);
  t.equal((await call(port, pair)).status, 403, 'the list shows others');
});

t.test('common names, where they are on', async (t) => {
  const { port } = await serve({ allowCommonName: true });
  t.equal((await call(port, await client('', { names: [], commonName: 'named' }))).body.who, 'named');
  t.equal((await call(port, await client('', { names: [{ dns: 'x' }], commonName: 'named' }))).body.who, 'named');
  t.equal((await call(port, await client('', { names: [], commonName: 'Named' }))).status, 401);
  t.equal((await call(port, await client('', { names: [], commonName: 'x\nCN=named' }))).status, 401);
  t.equal((await call(port, await client('spiffe://x.example/a', { commonName: 'named' }))).status, 401);
});

t.test('revoked and expired take effect on a connection that is open', async (t) => {
  const pair = await client(OPERATOR);
  const serial = new X509Certificate(pair.cert).serialNumber;
  let now = Date.now();
  let revoked: readonly string[] = [];
  const { port } = await serve({
    clock: () => now,
    isRevoked: ({ serial }) => revoked.map(normalSerial).includes(serial),
  });
  const pool = new Pool(`https://127.0.0.1:${port}`, {
    connect: { ...tlsOf(pair), servername: 'localhost' },
    connections: 1,
  });
  t.teardown(() => pool.destroy());
  const get = async () => {
    const answer = await pool.request({ path: AGENTS, method: 'GET' });
    await answer.body.dump();
    return answer;
  };
  t.equal((await get()).statusCode, 200);
  now = inForce.notAfter.getTime() - 2_000;
  t.equal((await get()).statusCode, 200);
  now += 3_000;
  const late = await get();
  t.equal(late.statusCode, 401, 'expired between two requests');
  t.equal(late.headers['connection'], 'close');
  now -= DAY;
  t.equal((await get()).statusCode, 200);
  revoked = [serial.toLowerCase().replace(/(..)(?=.)/g, '$1:')];
  t.equal((await get()).statusCode, 401, 'revoked between two requests');
  revoked = [];
  now = Date.now() - 2 * DAY;
  t.equal((await get()).statusCode, 401, 'not yet valid by our clock');
});

for (const minVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
  t.test(`a session cannot be resumed (${minVersion})`, async (t) => {
    const { port } = await serve(minVersion === 'TLSv1.2' ? { minVersion } : {});
    const tls = { ...tlsOf(await client(OPERATOR)), maxVersion: minVersion };
    const sessions: Buffer[] = [];
    const first = await openTls(port, tls);
    t.equal(first.getProtocol(), minVersion);
    first.on('session', (session: Buffer) => sessions.push(session));
    await sendRaw(first, `GET ${AGENTS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const session = sessions.at(-1) ?? first.getSession();
    t.ok(session !== undefined, 'the client has something to offer');
    const second = await openTls(port, { ...tls, ...(session === undefined ? {} : { session }) });
    t.notOk(second.isSessionReused());
    t.equal((await sendRaw(second, `GET ${AGENTS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)).status, 200);
  });
}

t.test('TLS 1.2 is refused unless it is wanted', async (t) => {
  await t.rejects(openTls(port, { ...tlsOf(await client(OPERATOR)), maxVersion: 'TLSv1.2' }));
});

t.test('DEV_SKIP_MTLS: no certificate on loopback is dev; a certificate is still judged', async (t) => {
  const { port } = await serve({ skipForLoopback: true });
  t.equal((await call(port)).body.who, 'dev');
  t.equal((await call(port, undefined, '/v1/workspaces/other/agents')).status, 404);
  t.equal((await call(port, await client(OPERATOR))).body.who, 'operator');
  const untrusted = await issue(
    foreign,
    { commonName: 'x', names: [uri(OPERATOR)], usage: 'client', validity: inForce },
    key,
  );
  t.equal((await call(port, untrusted)).status, 401);
  t.equal((await call(port, await client(OPERATOR, { validity: validFor(Date.now() - 9 * DAY, 1) }))).status, 401);
});

t.test('a body cannot name the caller', async (t) => {
  const socket = await openTls(port, tlsOf(await client(OPERATOR)));
  const body = '{"name":"a","actor":{"id":"kernel-admin"}}';
  const head = `POST ${AGENTS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close`;
  t.equal((await sendRaw(socket, `${head}\r\n\r\n${body}`)).status, 400);
});
