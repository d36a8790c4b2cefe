import { X509Certificate } from 'node:crypto';
import t from 'tap';

import { type Issued, issue, newKey, validFor } from '../../src/certs/authority.ts';
import { parseTrustBundle } from '../../src/identity/trust-bundle.ts';
import { testCa } from '../certs/authorities.ts';
import { inForce } from '../certs/material.ts';

const DAY = 86_400_000;
const now = Date.now();

const [key, otherKey] = await Promise.all([newKey(), newKey()]);
const root = await testCa({ commonName: 'root', key });
const other = await testCa({ commonName: 'other', key: otherKey });
const impostor = await testCa({ commonName: 'root', key: otherKey });
const middle = await testCa({ commonName: 'middle', issuer: root, key: otherKey });
const short = await testCa({ commonName: 'short', validity: validFor(now, 1), key });

const leafOf = async (authority: Issued) =>
  new X509Certificate(
    (await issue(authority, { commonName: 'leaf', names: [], usage: 'client', validity: inForce }, key)).cert,
  );
const bundle = (...authorities: readonly Issued[]) => parseTrustBundle(authorities.map(({ cert }) => cert).join(''));
const names = (chain: readonly X509Certificate[] | undefined) => chain?.map(({ subject }) => subject);

t.test('a chain leads from a certificate to a self-signed authority of the bundle', async (t) => {
  const leaf = await leafOf(root);
  t.same(names(bundle(other, root).chainOf(leaf, now)), ['CN=leaf', 'CN=root']);
  t.equal(bundle(other).chainOf(leaf, now), undefined, 'its authority was removed');
  t.equal(bundle(impostor).chainOf(leaf, now), undefined, 'an authority of the same name with another key');
  t.same(names(bundle(impostor, root).chainOf(leaf, now)), ['CN=leaf', 'CN=root'], 'beside the right one');
});

t.test('intermediates of the bundle are followed, and count only with their root', async (t) => {
  const leaf = await leafOf(middle);
  t.same(names(bundle(root, middle).chainOf(leaf, now)), ['CN=leaf', 'CN=middle', 'CN=root']);
  t.equal(bundle(root).chainOf(leaf, now), undefined, 'nobody has shown the one in between');
  t.equal(bundle(middle, other).chainOf(leaf, now), undefined, 'its root was removed');
});

t.test('a chain ends with the first of its certificates', async (t) => {
  const leaf = await leafOf(short);
  const both = bundle(short, other);
  t.ok(both.chainOf(leaf, now));
  t.equal(both.chainOf(leaf, now + 2 * DAY), undefined, 'its authority has ended');
  t.equal(both.chainOf(leaf, now - 2 * DAY), undefined, 'and had not begun');
});

t.test('what ends next', async (t) => {
  const { endsAfter } = bundle(short, other);
  const end = ({ cert }: Issued) => new X509Certificate(cert).validToDate.getTime();
  t.equal(endsAfter(now), end(short));
  t.equal(endsAfter(now + 2 * DAY), end(other), 'what has ended is behind us, as long as something is left');
  t.equal(endsAfter(now + 60 * DAY), end(other), 'all of them');
});

const leafPem = (await leafOf(root)).toString();
const named = await testCa({ commonName: 'no authority', isCa: false, key });
const cases: { why: string; text: string; says: RegExp }[] = [
  { why: 'empty', text: '', says: /not PEM/ },
  { why: 'garbage', text: 'garbage', says: /not PEM/ },
  { why: 'cut off within a certificate', text: (other.cert + root.cert).slice(0, -100), says: /not PEM/ },
  { why: 'cut off within the last line', text: (other.cert + root.cert).slice(0, -8), says: /not PEM/ },
  { why: 'the end of one missing', text: root.cert.replace(/-----END.*/, '') + other.cert, says: /not PEM/ },
  { why: 'a private key in it', text: root.cert + root.key, says: /not PEM/ },
  {
    why: 'base64 that is no certificate',
    text: root.cert.replace(/MII\w{8}/, 'AAAAAAAAAAA'),
    says: /1 cannot be read/,
  },
  { why: "a client's certificate in it", text: root.cert + leafPem, says: /2 is not that of an authority/ },
  { why: 'one that signs itself and is no authority', text: named.cert, says: /1 is not that of an authority/ },
  { why: 'intermediates alone', text: middle.cert, says: /self-signed/ },
];
for (const { why, text, says } of cases) {
  t.test(`refused: ${why}`, async (t) => {
    t.throws(() => parseTrustBundle(text), says);
  });
}

t.test('words between the certificates are fine', async (t) => {
  t.equal(
    parseTrustBundle(`# ours\r\n${root.cert.replaceAll('\n', '\r\n')}# theirs\n${other.cert}`).authorities.length,
    2,
  );
});
