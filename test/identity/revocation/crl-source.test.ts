import { X509Certificate } from 'node:crypto';
import forge from 'node-forge';
import t from 'tap';

import { type Issued, issue, makeAuthority, validFor } from '../../../src/certs/authority.ts';
import { createCrlSource } from '../../../src/identity/revocation/crl-source.ts';
import { parseTrustBundle } from '../../../src/identity/trust-bundle.ts';
import { inForce } from '../../certs/material.ts';
import { asPem, HOUR, type ListRequest, makeList, serialOf } from './lists.ts';

const [old, next, stranger] = await Promise.all(
  ['old', 'next', 'stranger'].map((name) => makeAuthority(name, inForce)),
);
if (old === undefined || next === undefined || stranger === undefined) throw new Error('not made');
const issuer = old;
const client = await issue(old, { commonName: 'c', names: [], usage: 'client', validity: inForce });
const chain = [client, old].map(({ cert }) => new X509Certificate(cert));
const number = (of: Issued, number: number, more: ListRequest = {}) => makeList(of, { number, ...more });

/** A source on a bundle file and one file of lists, which a test changes as an operator would. */
function source(clock: () => number = Date.now) {
  let bundle: readonly Issued[] = [issuer];
  const pem = () => bundle.map(({ cert }) => cert).join('');
  const trustBundle = () => parseTrustBundle(pem());
  const crl = createCrlSource({ files: ['lists'], clientCaFile: 'bundle', trustBundle, clock });
  async function load(authorities: readonly Issued[], ...lists: readonly Buffer[]): Promise<void> {
    bundle = authorities;
    const contents = new Map([
      ['bundle', Buffer.from(pem())],
      ['lists', asPem(...lists)],
    ]);
    (await crl.source.load(contents)).apply();
  }
  return {
    load,
    standing: () => crl.current().standingOf(chain, clock()).status,
    endings: () => crl.source.endings?.() ?? [],
    isReady: () => (crl.source.endings?.() ?? []).every(({ notAfter }) => notAfter >= clock()),
  };
}

/** The same name and key in another encoding of its text. */
function encodedOtherwise({ key, cert }: Issued): Issued {
  const certificate = forge.pki.certificateFromPem(cert);
  const [attribute] = certificate.subject.attributes;
  if (attribute === undefined) throw new Error('it has no name');
  const { name, value, valueTagClass } = attribute;
  const { UTF8, PRINTABLESTRING } = forge.asn1.Type;
  const other = Number(valueTagClass) === UTF8 ? PRINTABLESTRING : UTF8;
  // forge wants the number of the tag, its types say otherwise.
  const renamed = { name, value };
  Object.assign(renamed, { valueTagClass: other });
  certificate.setSubject([renamed]);
  certificate.setIssuer(certificate.subject.attributes);
  certificate.sign(forge.pki.privateKeyFromPem(key), forge.md.sha256.create());
  return { key, cert: forge.pki.certificateToPem(certificate) };
}

t.test('a list of nobody in the bundle is refused, and what was in force stays', async (t) => {
  const at = source();
  const mine = await number(old, 8);
  await at.load([old], mine);
  const otherwise = encodedOtherwise(old);
  t.equal(new X509Certificate(otherwise.cert).subject, new X509Certificate(old.cert).subject, 'reads the same');
  const foreign = {
    'another authority': await number(stranger, 9),
    'the name in another encoding': await number(otherwise, 9),
    'that name, another key': await number(stranger, 9, { inTheNameOf: otherwise }),
  };
  for (const [why, list] of Object.entries(foreign)) {
    await t.rejects(at.load([old], list), { name: 'RevocationInvalid', message: /no authority of the client CA/ }, why);
    await t.rejects(at.load([old], mine, list), /no authority of the client CA/, `${why}, beside a good one`);
    await t.rejects(source().load([old], list), /no authority of the client CA/, `${why}, at a start`);
  }
  t.equal(at.standing(), 'good');
  t.ok(at.isReady());
});

t.test('an authority that had a list keeps one while it is in the bundle', async (t) => {
  const at = source();
  const [mine, theirs] = [await number(old, 1), await number(next, 1)];
  await at.load([old, next], mine, theirs);
  await t.rejects(at.load([old, next], theirs), {
    name: 'RevocationInvalid',
    message: /CN=old.* has no list any more/,
  });
  t.equal(at.standing(), 'good');
  await at.load([next], theirs);
  t.ok(at.isReady(), 'one that is gone needs none');
});

t.test('one that has ended needs no list any more', async (t) => {
  let moved = 0;
  const at = source(() => Date.now() + moved);
  const short = await makeAuthority('short', validFor(Date.now(), 1));
  const end = { nextUpdate: Date.now() + 100 * HOUR };
  const mine = await number(old, 1, end);
  await at.load([old, short], mine, await number(short, 1, end));
  moved = 30 * HOUR;
  await at.load([old, short], mine);
  t.ok(at.isReady());
});

t.test('what was seen of numbers and times is kept, whatever was between', async (t) => {
  const at = source();
  const [first, eighth] = [await number(old, 1), await number(old, 8, { serials: [serialOf(client)] })];
  const theirs = await number(next, 1);
  await at.load([old], eighth);
  await t.rejects(at.load([old], await number(stranger, 9)));
  await t.rejects(at.load([old], first), /older/);
  await at.load([next], theirs);
  await t.rejects(at.load([old, next], first, theirs), /older/, 'also while its authority was away');
  await t.rejects(at.load([old], first), /older/);
  const late = Date.now() - HOUR / 2;
  await at.load([old, next], await number(old, 9, { thisUpdate: late }), theirs);
  await at.load([old], await makeList(old, { number: undefined, thisUpdate: late + 1000 }));
  await t.rejects(
    at.load([old], await number(old, 8, { thisUpdate: late + 2000 })),
    /older/,
    'a list without a number between',
  );
  await at.load([old], await number(old, 10, { thisUpdate: late + 2000 }));
});

t.test('an older list beside the newest one of its authority does no harm', async (t) => {
  const at = source();
  const [first, second] = [await number(old, 1), await number(old, 2, { serials: [serialOf(client)] })];
  await at.load([old], first, second);
  t.equal(at.standing(), 'revoked');
  await at.load([old], second, first);
  t.equal(at.standing(), 'revoked');
  await t.rejects(at.load([old], first), /older/);
});

t.test('a change of authorities, in any order: refused until both fit, and nobody is locked out', async (t) => {
  const [mine, theirs] = [await number(old, 1), await number(next, 1)];

  const listFirst = source();
  await listFirst.load([old], mine);
  await t.rejects(listFirst.load([old], mine, theirs), /no authority/);
  t.equal(listFirst.standing(), 'good');
  t.ok(listFirst.isReady());
  await listFirst.load([old, next], mine, theirs);
  t.ok(listFirst.isReady());

  const authorityFirst = source();
  await authorityFirst.load([old], mine);
  await authorityFirst.load([old, next], mine);
  t.equal(authorityFirst.standing(), 'good', 'those of the old one go on');
  t.notOk(authorityFirst.isReady(), 'those of the new one cannot come');
  t.match(authorityFirst.endings(), [{ certificate: 'crl:1' }, { certificate: 'crl:missing' }]);
  await authorityFirst.load([old, next], mine, theirs);
  t.ok(authorityFirst.isReady());

  await t.rejects(authorityFirst.load([next], mine, theirs), /no authority/, 'taken out, its list not yet');
  t.ok(authorityFirst.isReady());
  await authorityFirst.load([next], theirs);
  await authorityFirst.load([old], mine);
  t.equal(authorityFirst.standing(), 'good', 'one for the other, in one look');
});

t.test('a start with an authority that has no list', async (t) => {
  const at = source();
  t.same(at.endings(), []);
  await at.load([old, next], await number(next, 1));
  t.equal(at.standing(), 'unknown');
  t.notOk(at.isReady());
});
