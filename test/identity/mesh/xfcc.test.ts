import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { certificateFacts } from '../../../src/identity/certificate.ts';
import { Unauthenticated } from '../../../src/identity/errors.ts';
import { createForwardedCertificate } from '../../../src/identity/mesh/forwarded-certificate.ts';
import { type ForwardedElement, parseForwarded } from '../../../src/identity/mesh/xfcc.ts';
import { testAuthority } from '../../certs/material.ts';
import fc from '../../support/fast-check.ts';

interface Case {
  readonly why: string;
  readonly text: string;
  readonly is?: Partial<ForwardedElement>;
  readonly refused?: string;
}

const HASH = '468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688';
const BY = 'spiffe://castellan.dev/proxy/mesh';

/** The element, or why there is none; anything but a refusal of ours goes through. */
function outcome<Found>(read: () => Found): Found | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof Unauthenticated) return error.reason;
    throw error;
  }
}

const cases: Case[] = JSON.parse(readFileSync(new URL('./xfcc-cases.json', import.meta.url), 'utf8'));
for (const { why, text, is, refused } of cases) {
  t.test(why, async (t) => {
    const found = outcome(() => parseForwarded(text.replaceAll('{HASH}', HASH)));
    if (refused !== undefined) t.equal(found, refused);
    else t.match(found, { hash: HASH.toUpperCase(), ...is });
  });
}

t.test('a long one is refused before it is read', async (t) => {
  const text = (names: number) => `By=${BY};Hash=${HASH};URI=u${';DNS=a'.repeat(names)}`;
  t.type(
    outcome(() => parseForwarded(text(1_000))),
    'object',
  );
  t.equal(
    outcome(() => parseForwarded(text(2_000))),
    'FORWARDED_MALFORMED',
  );
});

const segment = fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/);
const spiffe = fc
  .array(segment, { minLength: 1, maxLength: 4 })
  .map((path) => `spiffe://castellan.dev/${path.join('/')}`);
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
/** What a client can have written into its certificate, with what would be worth writing there. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '"',
        '\\',
        ';',
        ',',
        '=',
        ' ',
        '\\"',
        'URI=',
        ';URI=spiffe://castellan.dev/human/kernel-admin',
        'By=',
      ),
      fc.stringMatching(/^[ -~]{0,6}$/),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''));

/** As Envoy's documentation has it: a quote in a value becomes backslash and quote. */
const quoted = (value: string) => `"${value.replaceAll('"', '\\"')}"`;
/** As OpenSSL prints a subject (RFC 2253), which Envoy puts between quotes as it is. */
const rfc2253 = (value: string) => `"CN=${value.replaceAll(/[",;\\=+<>]/g, '\\$&')}"`;

t.test('what Envoy writes is read as it was meant', async () => {
  fc.assert(
    fc.property(spiffe, hash, spiffe, fc.array(segment, { maxLength: 3 }), segment, (by, hash, uri, names, subject) => {
      const pairs = [
        `By=${by}`,
        `Hash=${hash}`,
        `Subject="CN=${subject}"`,
        `URI=${uri}`,
        ...names.map((dns) => `DNS=${dns}`),
      ];
      const read = parseForwarded(pairs.join(';'));
      return read.by === by && read.hash === hash.toUpperCase() && read.uri === uri && read.cert === undefined;
    }),
  );
});

t.test('nothing in a certificate makes another identity of it', async () => {
  fc.assert(
    fc.property(spiffe, hostile, hostile, fc.boolean(), fc.boolean(), (uri, subject, dns, escaped, first) => {
      const written = [`Subject=${(escaped ? rfc2253 : quoted)(subject)}`, `DNS=${dns}`];
      const pairs = [`By=${BY}`, `Hash=${HASH}`, ...(first ? [`URI=${uri}`, ...written] : [...written, `URI=${uri}`])];
      const found = outcome(() => parseForwarded(pairs.join(';')));
      return typeof found === 'string' || (found.uri === uri && found.by === BY);
    }),
    { numRuns: 2_000 },
  );
});

const { client } = await testAuthority();
const URI = 'spiffe://castellan.dev/human/operator';
const other = await client('spiffe://castellan.dev/human/kernel-admin');
const pair = await client(URI);
const certificate = new X509Certificate(pair.cert);
const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
const whole = `By=${BY};Hash=${fingerprint};Cert="${encodeURIComponent(pair.cert)}";Subject="CN=client";URI=${URI};DNS=a`;

const edit = fc.record({
  at: fc.nat(whole.length),
  remove: fc.nat(3),
  insert: fc.oneof(
    fc.constantFrom('', '"', ';', ',', 'URI=', '\\', ';URI=spiffe://castellan.dev/x', '%'),
    fc.stringMatching(/^[ -~]{0,3}$/),
  ),
});

t.test('no edit of an element with its certificate yields another identity', async () => {
  const certificateOf = createForwardedCertificate();
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const text = edits.reduce(
        (now, { at, remove, insert }) => now.slice(0, at) + insert + now.slice(at + remove),
        whole,
      );
      const found = outcome(() => {
        const element = parseForwarded(text);
        return { element, certificate: certificateOf(element) };
      });
      if (typeof found === 'string') return true;
      // An edit may take the certificate away as a whole; the proxy's word for the URI is then all there is.
      if (found.certificate === undefined) return !text.toLowerCase().includes('cert=');
      return found.element.uri === URI && found.certificate.fingerprint256 === fingerprint.toUpperCase();
    }),
    { numRuns: 3_000 },
  );
});

t.test('the certificate in an element is the one it speaks of', async (t) => {
  const certificateOf = createForwardedCertificate();
  const element = parseForwarded(whole);
  const found = certificateOf(element);
  t.same(found, certificateFacts(certificate));
  t.equal(certificateOf(element), found, 'and is read once');
  const wrong: [why: string, change: Partial<ForwardedElement>][] = [
    ['another certificate', { cert: encodeURIComponent(other.cert) }],
    ['another hash', { hash: HASH.toUpperCase() }],
    ['another URI', { uri: 'spiffe://castellan.dev/human/kernel-admin' }],
    ['two certificates', { cert: encodeURIComponent(pair.cert + other.cert) }],
    ['text before it', { cert: `x${encodeURIComponent(pair.cert)}` }],
    ['an encoding that is none', { cert: '%zz' }],
    ['no certificate', { cert: '' }],
    ['PEM of something else', { cert: encodeURIComponent(pair.key) }],
    [
      'PEM around nothing',
      { cert: encodeURIComponent('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n') },
    ],
  ];
  for (const [why, change] of wrong) {
    t.equal(
      outcome(() => certificateOf({ ...element, ...change })),
      'FORWARDED_MALFORMED',
      why,
    );
  }
});
