import canonicalize from 'canonicalize';
import t from 'tap';
import { foldName, parseSpec, readStoredSpec, toStoredSpec } from '../../src/agents/spec.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';
import fc from '../support/fast-check.ts';
import cases from './spec-cases.json' with { type: 'json' };

for (const { why, spec, pointer } of cases) {
  t.test(why, async (t) => {
    if (pointer === null) {
      t.equal(parseSpec(spec), spec, 'the very value, nothing inserted');
      return;
    }
    try {
      parseSpec(spec);
      t.fail('accepted');
    } catch (error) {
      t.match(error, { code: 'VALIDATION_FAILED', members: { errors: [{ pointer }] } });
    }
  });
}

t.test('the stored form is RFC 8785 and hashes to the spec hash', async (t) => {
  const spec = parseSpec({ name: 'é€', budget: { monthlyUsd: 1e-7, maxTokens: 5 }, labels: { b: '1', a: '2' } });
  const stored = toStoredSpec(spec);
  t.equal(stored.json, canonicalize(spec));
  t.equal(stored.hash, sha256Digest(stored.json));
  t.strictSame(readStoredSpec(stored.bytes, stored.hash), spec);
});

t.test('the hash does not depend on the order of members', async () => {
  const labels = fc.dictionary(
    fc.stringMatching(/^[a-z]{1,8}$/),
    fc.string({ unit: 'grapheme-ascii', maxLength: 20 }),
    {
      maxKeys: 20,
    },
  );
  fc.assert(
    fc.property(labels, (labels) => {
      const reversed = Object.fromEntries(Object.entries(labels).reverse());
      return toStoredSpec({ name: 'a', labels }).hash === toStoredSpec({ labels: reversed, name: 'a' }).hash;
    }),
  );
});

t.test('what has no canonical form is refused', async (t) => {
  t.throws(() => toStoredSpec({ name: 'a', budget: { monthlyUsd: -0 } }), { code: 'SPEC_NOT_CANONICAL' });
  t.throws(() => toStoredSpec({ name: 'a\ud800' }), { code: 'SPEC_NOT_CANONICAL' });
  t.throws(() => toStoredSpec({ name: 'a\0' }), { code: 'SPEC_NOT_CANONICAL' });
});

t.test('a spec too large to carry around is refused', async (t) => {
  const spec = parseSpec({ name: 'a', instructions: 'é'.repeat(131_072) });
  t.throws(() => toStoredSpec(spec), { code: 'SPEC_NOT_CANONICAL' });
});

t.test('stored bytes that were changed are not read', async (t) => {
  const { bytes, hash } = toStoredSpec({ name: 'a' });
  t.throws(() => readStoredSpec(Buffer.from('{"name":"b"}'), hash), { code: 'UNPROCESSABLE' });
  t.throws(() => readStoredSpec(Buffer.from('{}'), sha256Digest('{}')), { code: 'UNPROCESSABLE' });
  t.strictSame(readStoredSpec(bytes, hash), { name: 'a' });
});

t.test('names are compared without regard to case in any script', async (t) => {
  t.equal(foldName('ÄRGER'), foldName('ärger'));
  t.equal(foldName('A\u0308rger'), foldName('Ärger'), 'composed and decomposed');
  t.ok(foldName('ΟΔΟΣΑ').includes(foldName('ΟΔΟΣ')), 'a final sigma is a sigma');
});
