import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { validFor } from '../../../src/certs/authority.ts';
import { SAMPLE_AGENT_ID } from '../../../src/certs/clients.ts';
import { AGENT_ID } from '../../certs/material.ts';
import { testService } from '../../support/service.ts';
import { ask, element, issuer, OTHER_PROXY, PROXY } from './behind.ts';

const DAY = 86_400_000;
const OPERATOR = 'spiffe://castellan.dev/human/operator';
const ADMIN = 'spiffe://castellan.dev/human/kernel-admin';
const AGENT = `spiffe://castellan.dev/ws/demo/agent/${AGENT_ID}`;
const AGENTS = '/v1/workspaces/demo/agents';
/** Refusals of nobody are counted from the eleventh on a route: each case has the next route. */
const ROUTES = [
  AGENTS,
  '/v1/workspaces',
  '/v1/signers',
  '/v1/workspaces/demo/policy/snapshot',
  `${AGENTS}/${AGENT_ID}`,
];

const service = await testService(t, { identity: { proxies: [PROXY, OTHER_PROXY] } });
const make = await issuer(service.certsDir);
const [proxy, otherProxy, operator, stranger] = await Promise.all(
  [PROXY, OTHER_PROXY, OPERATOR, 'spiffe://castellan.dev/human/stranger'].map((uri) => make(uri)),
);

const XFCC = 'x-forwarded-client-cert';
const line = (value: string, name = XFCC) => `${name}: ${value}`;
let turn = 0;
const nextRoute = () => ROUTES[turn++ % ROUTES.length] ?? AGENTS;

/** The newest event of the chain of the system. */
async function lastDenial() {
  const { body } = await service.call('auditor', 'GET', '/v1/audit/events?type=access.denied&limit=500');
  return body.events.at(-1);
}

t.test('a proxy speaks for the caller it was shown', async (t) => {
  const listed = await ask(service, proxy, AGENTS, [line(element(OPERATOR, operator))]);
  t.equal(listed.status, 200);
  t.equal((await ask(service, proxy, AGENTS, [line(element(OPERATOR, operator, { cert: true }))])).status, 200);
  t.equal(
    (await ask(service, proxy, AGENTS, [line(element(OPERATOR, operator), 'X-FORWARDED-Client-Cert')])).status,
    200,
  );
  const foreign = await ask(service, proxy, '/v1/workspaces/other/agents', [line(element(OPERATOR, operator))]);
  t.equal(foreign.status, 404, 'with the rights of that caller and no more');
  t.match(await lastDenial(), { actor: { id: 'operator', kind: 'human' }, payload: { reason: 'FOREIGN_WORKSPACE' } });
  t.equal(
    (await ask(service, otherProxy, AGENTS, [line(element(OPERATOR, operator, { by: OTHER_PROXY }))])).status,
    200,
  );
});

t.test('an agent behind a proxy sees itself and nothing else', async (t) => {
  const own = await ask(service, proxy, `${AGENTS}/${AGENT_ID}`, [line(element(AGENT, undefined))]);
  t.equal(own.body.code, 'NOT_FOUND', 'it has a certificate, but nobody made the agent');
  t.notMatch(await lastDenial(), { actor: { id: AGENT } }, 'which is no refusal');
  const other = await ask(service, proxy, `${AGENTS}/${SAMPLE_AGENT_ID}`, [line(element(AGENT, undefined))]);
  t.equal(other.status, 404);
  t.match(await lastDenial(), { actor: { id: AGENT, kind: 'agent' }, payload: { reason: 'FOREIGN_AGENT' } });
  t.equal((await ask(service, proxy, AGENTS, [line(element(AGENT, undefined))])).status, 403);
});

const expired = await make(OPERATOR, {
  validity: { notBefore: new Date(Date.now() - 2 * DAY), notAfter: new Date(Date.now() - DAY) },
});
const future = await make(OPERATOR, {
  validity: { notBefore: new Date(Date.now() + DAY), notAfter: new Date(Date.now() + 2 * DAY) },
});
const serverOnly = await make(OPERATOR, { usage: 'server' });
const good = element(OPERATOR, operator);
const REFUSED: readonly (readonly [why: string, reason: string, lines: readonly string[]])[] = [
  ['no header: a proxy is nobody by itself', 'FORWARDED_MISSING', []],
  ['an empty header', 'FORWARDED_MALFORMED', [line('')]],
  ['two elements', 'FORWARDED_AMBIGUOUS', [line(`${good},${element(ADMIN, undefined)}`)]],
  [
    'an appended element of this proxy',
    'FORWARDED_AMBIGUOUS',
    [line(`${element(ADMIN, undefined, { by: OTHER_PROXY })},${good}`)],
  ],
  ['two lines', 'FORWARDED_AMBIGUOUS', [line(good), line(good)]],
  [
    'two lines in two spellings',
    'FORWARDED_AMBIGUOUS',
    [line(good), line(element(ADMIN, undefined), 'X-Forwarded-Client-Cert')],
  ],
  ['two lines whose seam is inside a quote', 'FORWARDED_AMBIGUOUS', [line(`${good};Chain="a`), line('b"')]],
  ["another proxy's element", 'FORWARDED_BY_ANOTHER', [line(element(OPERATOR, operator, { by: OTHER_PROXY }))]],
  [
    'an element of somebody who is no proxy',
    'FORWARDED_BY_ANOTHER',
    [line(element(OPERATOR, operator, { by: OPERATOR }))],
  ],
  ['By in another case', 'FORWARDED_BY_ANOTHER', [line(element(OPERATOR, operator, { by: PROXY.toUpperCase() }))]],
  ['a proxy behind the proxy', 'FORWARDED_BY_ANOTHER', [line(element(OTHER_PROXY, otherProxy))]],
  ['the proxy behind itself', 'FORWARDED_BY_ANOTHER', [line(element(PROXY, proxy))]],
  ['nobody is named', 'NO_IDENTITY', [line(`By=${PROXY};Hash=${'ab'.repeat(32)}`)]],
  [
    'a URI that is no SPIFFE ID',
    'SPIFFE_ID_INVALID',
    [line(element('https://castellan.dev/human/operator', undefined))],
  ],
  [
    'another trust domain',
    'TRUST_DOMAIN_UNKNOWN',
    [line(element('spiffe://castellan.example/human/operator', undefined))],
  ],
  [
    'a caller who is not in the map',
    'NOT_IN_IDENTITY_MAP',
    [line(element('spiffe://castellan.dev/human/x', undefined))],
  ],
  ["another's certificate", 'FORWARDED_MALFORMED', [line(element(ADMIN, operator, { cert: true }))]],
  ['an expired certificate', 'CERTIFICATE_EXPIRED', [line(element(OPERATOR, expired, { cert: true }))]],
  ['a certificate of the future', 'CERTIFICATE_NOT_YET_VALID', [line(element(OPERATOR, future, { cert: true }))]],
  ['a certificate for servers', 'CERTIFICATE_NOT_FOR_CLIENTS', [line(element(OPERATOR, serverOnly, { cert: true }))]],
  ['a token from who is no gateway', 'TOKEN_NOT_ACCEPTED', [line(good), 'authorization: Bearer x']],
];
for (const [why, reason, lines] of REFUSED) {
  t.test(`401 for ${why}`, async (t) => {
    const route = nextRoute();
    const answer = await ask(service, proxy, route, lines);
    t.equal(answer.status, 401, JSON.stringify(answer.body));
    t.equal(answer.body.code, 'UNAUTHENTICATED');
    t.ok(answer.closed);
    const event = await lastDenial();
    t.match(event, {
      actor: { kind: 'unknown' },
      payload: { code: 'UNAUTHENTICATED', reason, count: 1 },
    });
    t.equal(event.payload.route.split(' ')[1].split('/').length, route.split('/').length, 'on that route');
  });
}

t.test('the header on any other connection is 400, with an event', async (t) => {
  const direct = await ask(service, operator, AGENTS, [line(good)]);
  t.match(direct, { status: 400, body: { code: 'MALFORMED_REQUEST' }, closed: true });
  t.match(await lastDenial(), {
    actor: { id: 'operator', kind: 'human' },
    payload: {
      code: 'MALFORMED_REQUEST',
      reason: 'FORWARDED_BY_STRANGER',
      route: 'GET /v1/workspaces/:workspaceId/agents',
    },
  });
  for (const [why, lines] of [
    ['empty', [line('')]],
    ['in capitals', [line(good, 'X-FORWARDED-CLIENT-CERT')]],
    ['twice', [line(good), line(good)]],
    ['garbage', [line('x')]],
  ] as const) {
    t.equal((await ask(service, operator, AGENTS, lines)).status, 400, why);
  }
  t.equal((await ask(service, operator, '/nowhere', [line(good)])).status, 400, 'on a path that is none');
  const unmapped = await ask(service, stranger, '/v1/signers', [line(good)]);
  t.equal(unmapped.status, 400, 'and from a certificate that is nobody here');
  t.match(await lastDenial(), { actor: { id: 'unknown' }, payload: { reason: 'FORWARDED_BY_STRANGER' } });
});

t.test('a connection without a certificate, where that is allowed, may not send it either', async (t) => {
  const open = await testService(t, { replicaOf: service, identity: { proxies: [PROXY], skipMtls: true } });
  t.equal((await ask(open, undefined, AGENTS, [])).status, 200, 'it is `dev`');
  t.equal((await ask(open, undefined, '/v1/workspaces', [line(element(ADMIN, undefined))])).status, 400);
  t.match(await lastDenial(), { actor: { id: 'unknown' }, payload: { reason: 'FORWARDED_BY_STRANGER' } });
});

t.test('a proxy is known by exactly one URI', async (t) => {
  const two = await make('', { names: [{ uri: PROXY }, { uri: OPERATOR }] });
  t.equal((await ask(service, two, '/v1/workspaces', [line(good)])).status, 400);
  const alike = await make(`${PROXY}/x`);
  t.equal((await ask(service, alike, '/v1/workspaces', [line(good)])).status, 400);
  const old = await make(PROXY, { validity: validFor(Date.now() - 9 * DAY, 1) });
  t.equal((await ask(service, old, '/v1/workspaces', [line(good)])).status, 0, 'an expired one gets no answer');
});

t.test('a header behind a hundred others is refused with them', async (t) => {
  const many = Array.from({ length: 1_100 }, (_, index) => `a${index}: b`);
  t.match(await ask(service, proxy, AGENTS, [...many, line(good)]), { status: 400, closed: true });
  t.match(await ask(service, operator, AGENTS, [...many, line(good)]), { status: 400, closed: true });
});

t.test('locks count behind a proxy: of the caller, of a serial that is shown, and of the proxy itself', async (t) => {
  const lock = (what: object) =>
    service.call('kernel-admin', 'POST', '/v1/access/locks', { ...what, reason: 'a test' });
  const until = async (pair: typeof proxy, header: string, status: number) => {
    const end = Date.now() + 5_000;
    for (;;) {
      const answer = await ask(service, pair, '/v1/workspaces/demo/audit/events', [line(header)]);
      if (answer.status === status || Date.now() > end) return answer.status;
    }
  };
  const shown = await make(OPERATOR);
  t.equal((await lock({ serial: new X509Certificate(shown.cert).serialNumber })).status, 201);
  t.equal(await until(proxy, element(OPERATOR, shown, { cert: true }), 401), 401);
  t.equal((await lastDenial()).payload.reason, 'CERTIFICATE_REVOKED');
  t.equal(
    (await ask(service, proxy, AGENTS, [line(element(OPERATOR, shown))])).status,
    200,
    'a serial that is not shown is not seen',
  );
  t.equal((await lock({ principalId: 'operator' })).status, 201);
  t.equal(await until(proxy, good, 401), 401);
  t.equal((await lock({ principalId: OTHER_PROXY })).status, 201);
  const admin = element(ADMIN, undefined, { by: OTHER_PROXY });
  t.equal(await until(otherProxy, admin, 401), 401);
  t.equal((await ask(service, proxy, AGENTS, [line(element(ADMIN, undefined))])).status, 200);
});
