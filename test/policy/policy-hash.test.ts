import { createHash } from 'node:crypto';
import t from 'tap';
import { parseBundle } from '../../src/policy/bundle.ts';
import { policyBytes, policyHash } from '../../src/policy/policy-hash.ts';
import fc from '../support/fast-check.ts';
import { tarball } from './tarballs.ts';

t.test('the bytes and the hash of a vector', async (t) => {
  const bundle = await parseBundle({
    modules: {
      'promotion.rego': 'package castellan.promotion\n',
      '/lib/a.rego': '# "ü"\npackage lib\n',
      'a_test.rego': 'x',
    },
    data: { z: 1, a: { '€': 1.5e-7, é: [true, null] } },
  });
  const text =
    '{"data":{"a":{"é":[true,null],"€":1.5e-7},"z":1},"modules":{"lib/a.rego":"# \\"ü\\"\\npackage lib\\n","promotion.rego":"package castellan.promotion\\n"},"policySet":"default"}';
  t.equal(policyBytes('default', bundle).toString(), text);
  const expected = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  t.equal(policyHash('default', bundle.modules, bundle.data), expected);
  t.equal(expected, 'sha256:5f02670b1f0a03dc5808ae452bddaac002db07b5de6c7e4583bb4dcb92dd5d6c');
});

t.test('a tarball and the same files in the body are one policy', async (t) => {
  const rego = 'package castellan.promotion\n';
  const packed = await parseBundle({
    tarball: await tarball([
      { name: '/p.rego', content: rego },
      { name: 'p_test.rego', content: 'anything' },
      { name: 'a/data.json', content: '{ "b": 1.0 }' },
    ]),
  });
  const given = await parseBundle({ modules: { 'p.rego': rego }, data: { a: { b: 1 } } });
  t.ok(policyBytes('default', packed).equals(policyBytes('default', given)));
});

t.test('the order of members has no say, everything else has', async (t) => {
  const modules = { 'a.rego': 'package a', 'b.rego': 'package b' };
  const hash = policyHash('default', modules, { x: 1, y: 2 });
  t.equal(policyHash('default', { 'b.rego': 'package b', 'a.rego': 'package a' }, { y: 2, x: 1 }), hash);
  t.not(policyHash('other', modules, { x: 1, y: 2 }), hash);
  t.not(policyHash('default', { ...modules, 'b.rego': 'package b ' }, { x: 1, y: 2 }), hash);
  t.not(policyHash('default', { 'a.rego': 'package a', 'c.rego': 'package b' }, { x: 1, y: 2 }), hash);
  t.not(policyHash('default', modules, { x: 1, y: '2' }), hash);
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.integer()), (data) => {
      const reversed = Object.fromEntries(Object.entries(data).reverse());
      return policyHash('default', modules, data) === policyHash('default', modules, reversed);
    }),
  );
});
