import t from 'tap';

import { canonicalText, parseCanonical } from '../../src/audit/verify/canonical.ts';
import fc from '../support/fast-check.ts';

const accepts = (text: string): boolean => parseCanonical(Buffer.from(text)) !== undefined;
const json = fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' });

t.test('the canonical text of a value is taken, another spelling of it is not', async () => {
  fc.assert(
    fc.property(json, fc.boolean(), (value, spaced) => {
      const canonical = canonicalText(JSON.parse(JSON.stringify(value)));
      const other = JSON.stringify(value, undefined, spaced ? 1 : 0);
      return accepts(canonical) && accepts(other) === (other === canonical);
    }),
    { numRuns: 2000 },
  );
});

t.test('what JavaScript would change silently', async (t) => {
  const cases: [string, boolean][] = [
    ['{"10":1,"9":2}', true],
    ['{"9":1,"10":2}', false],
    ['{"a":1,"a":1}', false],
    ['{"a":1.0}', false],
    ['-0', false],
    ['1e21', false],
    ['1e+21', true],
    ['"\\u001f"', true],
    ['"\\u001F"', false],
    ['"\\ud83d\\ude00"', false],
    ['"\u{1f600}"', true],
    ['{"a":"\\ud800"}', false],
    ['{"\\udfff":1}', false],
    ['{"__proto__":1}', true],
    ['9007199254740993', false],
    [`${'['.repeat(65)}${']'.repeat(65)}`, true],
    [`${'['.repeat(66)}${']'.repeat(66)}`, false],
    ['\ufeff{}', false],
  ];
  for (const [text, expected] of cases) t.equal(accepts(text), expected, text.slice(0, 40));
});
