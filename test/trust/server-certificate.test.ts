import t from 'tap';

import { type Issued, issue, newKey } from '../../src/certs/authority.ts';
import { createServerCertificate } from '../../src/trust/server-certificate.ts';
import { testCa } from '../certs/authorities.ts';
import { inForce, testAuthority } from '../certs/material.ts';

const DAY = 86_400_000;
const { authority, server, client } = await testAuthority();
const key = await newKey();
const request = { commonName: 'localhost', names: [{ dns: 'localhost' }], usage: 'server' as const, validity: inForce };
const next = await issue(authority, request, key);
const root = await testCa({ commonName: 'root', key });

async function serverCertificate(first: Issued = server) {
  let changes = 0;
  const certificate = createServerCertificate({
    name: 'server_certificate',
    certFile: '/cert',
    keyFile: '/key',
    minVersion: 'TLSv1.3',
    clock: Date.now,
    changed: () => {
      changes += 1;
    },
  });
  const load = (pair: Issued) =>
    certificate.source.load(
      new Map([
        ['/cert', Buffer.from(pair.cert)],
        ['/key', Buffer.from(pair.key)],
      ]),
    );
  (await load(first)).apply();
  return { certificate, load, changes: () => changes };
}

t.test('a new pair is in force once it is applied, and not before', async (t) => {
  const { certificate, load, changes } = await serverCertificate();
  const loaded = await load(next);
  t.match(certificate.current(), server);
  loaded.apply();
  t.match(certificate.current(), next);
  t.equal(changes(), 2);
  t.match(loaded.events(0), [
    {
      type: 'server.certificate.applied',
      payload: { notAfter: inForce.notAfter.toISOString().replace(/\d{3}Z$/, '000Z') },
    },
  ]);
  t.match(certificate.source.endings?.(), [{ certificate: 'server' }]);
});

t.test('with its chain', async (t) => {
  const { load } = await serverCertificate();
  await t.resolves(load({ cert: next.cert + authority.cert, key: next.key }));
});

const expired = { notBefore: new Date(Date.now() - 2 * DAY), notAfter: new Date(Date.now() - DAY) };
const coming = { notBefore: new Date(Date.now() + DAY), notAfter: new Date(Date.now() + 2 * DAY) };
const cases: { why: string; pair: () => Promise<Issued>; says: RegExp }[] = [
  {
    why: 'the key of another',
    pair: async () => ({ ...next, key: server.key }),
    says: /not the key of the certificate/,
  },
  { why: 'no certificate', pair: async () => ({ ...next, cert: '' }), says: /not a PEM certificate/ },
  { why: 'half a certificate', pair: async () => ({ ...next, cert: next.cert.slice(0, 400) }), says: /not a PEM cert/ },
  {
    why: 'half a chain',
    pair: async () => ({ ...next, cert: next.cert + authority.cert.slice(0, 400) }),
    says: /not usable PEM/,
  },
  { why: 'no key', pair: async () => ({ ...next, key: 'garbage' }), says: /not a PEM private key/ },
  { why: "a client's", pair: () => client('spiffe://castellan.dev/human/x'), says: /not for servers/ },
  { why: 'an authority', pair: async () => root, says: /that of an authority/ },
  {
    why: 'one that has ended',
    pair: () => issue(authority, { ...request, validity: expired }, key),
    says: /has expired/,
  },
  {
    why: 'one of tomorrow',
    pair: () => issue(authority, { ...request, validity: coming }, key),
    says: /not valid yet/,
  },
];
for (const { why, pair, says } of cases) {
  t.test(`refused: ${why}`, async (t) => {
    const { certificate, load, changes } = await serverCertificate();
    await t.rejects(load(await pair()), says);
    t.match(certificate.current(), server);
    t.equal(changes(), 1);
  });
}

t.test('a problem has nothing of the key in it', async (t) => {
  const { load } = await serverCertificate();
  const error: Error = await load({ ...next, key: next.key.replace('MII', 'XXX') }).catch((reason) => reason);
  t.equal(error.cause, undefined);
  t.notMatch(error.message, /[A-Za-z0-9+/]{30}/);
});

t.test('the first one may have ended, and so may one that follows such a one: readiness tells', async (t) => {
  const old = await issue(authority, { ...request, validity: expired }, key);
  const { certificate, load } = await serverCertificate(old);
  t.match(certificate.current(), old);
  await t.resolves(load(old));
  await t.resolves(load(server));
});

t.test('RSA of too few bits makes no handshake', async (t) => {
  const weak = await newKey(1024);
  const { load } = await serverCertificate();
  await t.rejects(load(await issue(authority, request, weak)), /not usable PEM|no handshake/);
});
