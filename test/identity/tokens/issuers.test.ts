import t from 'tap';

import { parseTokenIssuers, TokenIssuersInvalid } from '../../../src/identity/tokens/issuers.ts';
import { claims, ecKey, entry, FakeIssuer, issuersOf, sign } from './issuer.ts';

function problemsOf(text: string): readonly string[] {
  try {
    parseTokenIssuers(Buffer.from(text));
    return [];
  } catch (error) {
    if (error instanceof TokenIssuersInvalid) return error.problems;
    throw error;
  }
}

const problems = (...entries: object[]) => problemsOf(JSON.stringify({ issuers: entries }));

t.test('every problem is told at once, by its place', async (t) => {
  const found = problems(
    entry({ algorithms: ['HS256'], kind: 'agent' }),
    entry({ roles: { claim: 'groups', map: { gateways: 'gateway', agents: 'agent' } }, more: 1 }),
  );
  for (const place of [
    '/issuers/0/algorithms/0',
    '/issuers/0/kind',
    '/issuers/1/more',
    '/issuers/1/roles/map/gateways',
  ]) {
    t.ok(
      found.some((line) => line.startsWith(`${place}:`)),
      place,
    );
  }
  t.ok(found.some((line) => line.startsWith('/issuers/1/roles/map/agents:')));
});

t.test('an issuer is asked over https, or on loopback', async (t) => {
  t.same(problems(entry({ issuer: 'https://id.example/realms/a' })), []);
  t.same(problems(entry({ issuer: 'http://127.0.0.1:9000' })), []);
  for (const issuer of [
    'http://id.example',
    'https://user:word@id.example',
    'https://id.example/?a=b',
    'https://id.example/#a',
    'file:///etc/passwd',
    'id.example',
  ]) {
    t.match(problems(entry({ issuer })), [/^\/issuers\/0\/issuer: must be https/], issuer);
    t.match(problems(entry({ jwksUri: issuer })), [/^\/issuers\/0\/jwksUri: must be https/], issuer);
  }
});

t.test('an issuer may have several entries with audiences of their own', async (t) => {
  t.same(problems(entry(), entry({ audience: 'castellan-services', kind: 'service' })), []);
  t.same(problems(entry(), entry({ kind: 'service' })), ['/issuers/1: the same issuer and audience as /issuers/0']);
});

for (const [why, text] of Object.entries({
  'not JSON': '{"issuers": [',
  'a member twice': '{"issuers": [], "issuers": []}',
  'a mark in front': '\ufeff{"issuers": []}',
  'no list': '{}',
  'a member more': '{"issuers": [], "more": 1}',
  empty: '',
})) {
  t.test(`refused: ${why}`, async (t) => {
    t.not(problemsOf(text).length, 0);
  });
}

for (const algorithm of ['none', 'HS256', 'HS384', 'HS512', 'RSA1_5', 'ES256K', 'rs256', 'RSA-OAEP']) {
  t.test(`no issuer may use ${algorithm}`, async (t) => {
    t.not(problems(entry({ algorithms: ['ES256', algorithm] })).length, 0);
  });
}

t.test('what is not said has its default', async (t) => {
  const { typ: _, ...short } = Object(entry());
  const [rule] = issuersOf(short);
  t.same([...(rule?.types ?? [])], ['at+jwt']);
  t.equal(rule?.maxAgeSeconds, 3600);
  t.equal(rule?.requireCnf, false);
});

const key = ecKey();

async function standing(rule: object, ...tokenClaims: object[]) {
  const tokens = new FakeIssuer(key).tokens(entry(rule));
  const via = { fingerprint: undefined, onlyHumans: false };
  const found = [];
  for (const one of tokenClaims) {
    const { roles, workspaces } = await tokens.authenticate(`Bearer ${await sign(key, claims(one))}`, via);
    found.push([roles, workspaces]);
  }
  return found;
}

t.test('roles are given by exact text', async (t) => {
  const groups = [
    ['castellan-admins'],
    ['Castellan-Admins'],
    ['castellan-admins '],
    ['castellan\u2010admins'],
    ['\u0441astellan-admins'],
    ['castellan-admins\u200b'],
    ['ｃastellan-admins'],
    ['kernel-admin'],
    ['__proto__', 'constructor', 'toString'],
    ['castellan-admins,operators'],
    [],
    ['operators', 'castellan-admins', 'operators', 'others'],
  ];
  const found = await standing({}, ...groups.map((one) => ({ groups: one })));
  t.same(
    found.map(([roles]) => roles),
    [['kernel-admin'], [], [], [], [], [], [], [], [], [], [], ['operator', 'kernel-admin']],
  );
});

t.test('a claim is found by its path alone', async (t) => {
  const map = { admins: 'kernel-admin' };
  const nested = { realm_access: { roles: ['admins'] } };
  const dotted = { 'https://castellan.example/roles': 'admins' };
  t.same(await standing({ roles: { claim: 'realm_access.roles', map } }, nested, {}), [
    [['kernel-admin'], ['demo']],
    [[], ['demo']],
  ]);
  t.same(await standing({ roles: { claim: ['https://castellan.example/roles'], map } }, dotted), [
    [['kernel-admin'], ['demo']],
  ]);
  t.same(await standing({ roles: { claim: 'scope', separator: ' ', map } }, { scope: 'openid admins' }), [
    [['kernel-admin'], ['demo']],
  ]);
  // What every object has is no claim.
  t.same(await standing({ roles: { claim: 'constructor', map } }, {}), [[[], ['demo']]]);
});

t.test('workspaces are those that can be, and all only where the issuer may say so', async (t) => {
  const tokens = [
    { castellan_workspaces: ['demo', 'other', 'demo'] },
    { castellan_workspaces: 'demo' },
    { castellan_workspaces: ['Demo', '../demo', '', '_system', 'demo '] },
    { castellan_workspaces: '*' },
    { castellan_workspaces: undefined },
  ];
  t.same(
    (await standing({}, ...tokens)).map(([, workspaces]) => workspaces),
    [['demo', 'other'], ['demo'], [], '*', []],
  );
  const without = { workspaces: { claim: 'castellan_workspaces' } };
  t.same(await standing(without, { castellan_workspaces: '*' }), [[['kernel-admin'], []]]);
});

t.test('who may elevate itself says a claim, where the issuer may say so', async (t) => {
  const via = { fingerprint: undefined, onlyHumans: false };
  const token = `Bearer ${await sign(key, claims({ emergency: ['demo', '*', 'Demo'] }))}`;
  const elevations = async (rule: object) =>
    (await new FakeIssuer(key).tokens(entry(rule)).authenticate(token, via)).breakGlass;
  t.same(await elevations({ breakGlass: { claim: 'emergency' } }), ['demo']);
  t.equal(await elevations({ breakGlass: { claim: 'nothing' } }), undefined);
  t.equal(await elevations({}), undefined);
});
