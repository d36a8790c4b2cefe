import t from 'tap';
import { mergePatch } from '../../src/http/merge-patch.ts';
import fc from '../support/fast-check.ts';
import cases from './merge-patch-cases.json' with { type: 'json' };

for (const { why, target, patch, result } of cases) {
  t.test(why, async (t) => {
    const before = JSON.stringify(target);
    t.strictSame(mergePatch(target, patch), result);
    t.equal(JSON.stringify(target), before, 'the target is left alone');
  });
}

t.test('a patch without nulls applied twice is applied once', async () => {
  const value = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('null'));
  fc.assert(
    fc.property(fc.jsonValue(), value, (target, patch) => {
      const once = mergePatch(target, patch);
      return JSON.stringify(mergePatch(once, patch)) === JSON.stringify(once);
    }),
  );
});

t.test('a member named __proto__ stays a member', async (t) => {
  const merged = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}'));
  t.equal(Object.getPrototypeOf(merged), Object.prototype);
  t.equal(Reflect.get({}, 'polluted'), undefined);
});
