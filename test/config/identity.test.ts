import t from 'tap';

import { readIdentity, readManifests } from '../../src/config/identity.ts';
import { readLimits } from '../../src/config/limits.ts';
import { SettingsReader } from '../../src/config/read.ts';

function read<T>(env: Record<string, string>, of: (reader: SettingsReader) => T): { value: T; problems: string[] } {
  const reader = new SettingsReader(env);
  const value = of(reader);
  return { value, problems: reader.problems };
}

t.test('ceilings by role', async (t) => {
  const roles = (text: string) => read({ CASTELLAN_LIMITS_ROLE_RATES: text }, readLimits);
  t.same(roles('agent=50, auditor=200').value.roles, { agent: 50, auditor: 200 });
  t.same(roles('').value.roles, {});
  for (const bad of [
    'agents=5',
    'agent',
    'agent=0',
    'agent=-1',
    'agent=1.5',
    'agent=NaN',
    'agent=1,agent=2',
    'Agent=1',
  ]) {
    t.match(roles(bad).problems, [/^CASTELLAN_LIMITS_ROLE_RATES must be role=rate/], bad);
  }
});

t.test('a listener for humans is there by an explicit setting alone, and not without issuers', async (t) => {
  t.equal(read({}, readIdentity).value.human, undefined);
  const issuers = { CASTELLAN_TOKEN_ISSUERS_FILE: 'issuers.json' };
  t.match(read({ ...issuers, CASTELLAN_HUMAN_PORT: '0' }, readIdentity).value.human, { host: '127.0.0.1', port: 0 });
  t.match(read({ CASTELLAN_HUMAN_PORT: '8444' }, readIdentity).problems, [/needs CASTELLAN_TOKEN_ISSUERS_FILE/]);
  t.match(read({ ...issuers, CASTELLAN_HUMAN_PORT: 'x' }, readIdentity).problems, [/CASTELLAN_HUMAN_PORT/]);
  const half = { ...issuers, CASTELLAN_HUMAN_PORT: '0', CASTELLAN_HUMAN_TLS_CERT_FILE: 'c.pem' };
  t.match(read(half, readIdentity).problems, [/belong together/]);
});

t.test('a proxy is named by one whole SPIFFE ID of the trust domain, and is no agent', async (t) => {
  const proxies = (text: string) => read({ CASTELLAN_MESH_PROXY_IDENTITIES: text }, readIdentity);
  const good = ['spiffe://castellan.dev/proxy/a', 'spiffe://castellan.dev/ns/mesh/sa/gateway'];
  t.same(proxies(good.join(' , ')).value.proxies, good);
  t.same(proxies(good.join(',')).problems, []);
  for (const [bad, says] of [
    ['*', /is not in the trust domain/],
    ['spiffe://castellan.example/proxy', /is not in the trust domain/],
    ['spiffe://castellan.dev.example/proxy', /is not in the trust domain/],
    ['spiffe://CASTELLAN.dev/proxy', /is not in the trust domain/],
    ['spiffe://castellan.dev', /is not in the trust domain/],
    ['spiffe://castellan.dev/', /is not a SPIFFE ID/],
    ['spiffe://castellan.dev/proxy/*', /is not a SPIFFE ID/],
    ['spiffe://castellan.dev/proxy/', /is not a SPIFFE ID/],
    ['spiffe://castellan.dev/a/../b', /is not a SPIFFE ID/],
    ['spiffe://castellan.dev//a', /is not a SPIFFE ID/],
    ['spiffe://castellan.dev/a?b', /is not a SPIFFE ID/],
    [`spiffe://castellan.dev/${'a'.repeat(2048)}`, /is not a SPIFFE ID/],
    ['spiffe://castellan.dev/ws/demo/agent/x', /kept for agents/],
    ['spiffe://castellan.dev/ws', /kept for agents/],
  ] as const) {
    t.match(proxies(bad).problems, [says], bad.slice(0, 80));
  }
  t.equal(proxies('*,http://x').problems.length, 2, 'all at once');
});

t.test('what is off stays off, and what cannot be read is a problem', async (t) => {
  t.match(read({}, readIdentity).value, { proxies: [], tokens: undefined, revocation: { ocsp: 'off', crlFiles: [] } });
  t.match(read({ CASTELLAN_IDENTITY_OCSP: 'maybe' }, readIdentity).problems, [
    /CASTELLAN_IDENTITY_OCSP must be one of/,
  ]);
  t.match(read({ CASTELLAN_IDENTITY_REVOKED_SERIALS: '01:02' }, readIdentity).problems, [/must be hex serial numbers/]);
  const responder = { CASTELLAN_IDENTITY_OCSP_URL: 'ldap://ocsp.example/' };
  t.match(read(responder, readIdentity).problems, [/must be http or https/]);
  t.same(read({ CASTELLAN_IDENTITY_OCSP_URL: 'http://ocsp.example/' }, readIdentity).problems, []);
  t.match(read({ CASTELLAN_KERNEL_API_URL: 'http://kernel.example' }, readManifests).problems, [/must be https/]);
  t.equal(read({}, readManifests).value.kernel, undefined);
});
