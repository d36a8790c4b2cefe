import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import vm from 'node:vm';
import canonicalize from 'canonicalize';
import t from 'tap';
import { CanonicalJsonError, canonicalBytes, canonicalJson } from '../../src/crypto/canonical-json.ts';
import fc from '../support/fast-check.ts';
import { doubleHex, es6Numbers } from './es6-numbers.ts';

const vectors = new URL('../vectors/jcs/', import.meta.url);
const valid: { name: string; why: string; input: string; canonical: string }[] = read('valid.json');
const numbers: { special: string[]; hashes: { lines: number; sha256: string }[] } = read('number-hashes.json');

t.test('the JCS vectors', async (t) => {
  for (const { name, why, input, canonical } of valid) {
    t.equal(canonicalJson(JSON.parse(input)), canonical, `${name}: ${why}`);
    t.equal(canonicalJson(JSON.parse(canonical)), canonical, `${name}: canonical text is a fixed point`);
  }
  t.same(
    canonicalBytes({ é: '€' }),
    Buffer.from([0x7b, 0x22, 0xc3, 0xa9, 0x22, 0x3a, 0x22, 0xe2, 0x82, 0xac, 0x22, 0x7d]),
  );
});

t.test('the published hashes of the ES6 number sequence', async (t) => {
  const expected = new Map(numbers.hashes.map(({ lines, sha256 }) => [lines, sha256]));
  const last = Math.max(...expected.keys());
  const hash = createHash('sha256');
  const scratch = Buffer.alloc(8);
  let line = 0;
  for (const value of es6Numbers(numbers.special)) {
    hash.update(`${doubleHex(value, scratch)},${expectedText(value)}\n`);
    line += 1;
    const sha256 = expected.get(line);
    if (sha256 !== undefined) t.equal(hash.copy().digest('hex'), sha256, `${line} lines`);
    if (line === last) break;
  }
});

/** Negative zero and inexact integers are in the sequence, but refused by us: only for those the runtime is asked. */
function expectedText(value: number): string {
  const inexact = Number.isInteger(value) && Math.abs(value) > Number.MAX_SAFE_INTEGER && Math.abs(value) < 1e21;
  return inexact || Object.is(value, -0) ? String(value) : canonicalJson(value);
}

t.test('refuses what JavaScript would change silently', async (t) => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  const hidden = Object.defineProperty({}, 'a', { value: 1, enumerable: false });
  const named = Object.assign([1], { extra: 2 });
  const sparse = [1, 2, 3];
  Reflect.deleteProperty(sparse, 1);
  class Spec {
    name = 'a';
  }
  const refused: Record<string, unknown> = {
    undefined: undefined,
    'undefined member': { a: undefined },
    'undefined element': [undefined],
    function: () => 1,
    symbol: Symbol('a'),
    'symbol member': { [Symbol('a')]: 1 },
    'hidden member': hidden,
    NaN: Number.NaN,
    Infinity: Number.POSITIVE_INFINITY,
    '-Infinity': Number.NEGATIVE_INFINITY,
    'negative zero': -0,
    '2^53': 2 ** 53,
    '-2^53': -(2 ** 53),
    'largest integer written with digits': 999999999999999900000,
    BigInt: 1n,
    Date: new Date(0),
    Map: new Map(),
    Set: new Set(),
    'typed array': new Uint8Array(1),
    Buffer: Buffer.from('a'),
    'class instance': new Spec(),
    'inherited members': Object.create({ a: 1 }),
    'boxed string': Object('a'),
    'foreign realm': vm.runInNewContext('({})'),
    'array subclass': new (class List extends Array {})(),
    'array with a name': named,
    'sparse array': sparse,
    'trailing hole': new Array(2),
    'sparse array with a name': Object.assign(sparse.slice(), { extra: 2 }),
    'toJSON member': { toJSON: () => 1 },
    '__proto__ member': JSON.parse('{"__proto__":1}'),
    'U+0000': 'a\0b',
    'U+0000 in a name': { 'a\0': 1 },
    'lone high surrogate': '\ud800',
    'lone low surrogate': 'a\udc00b',
    'surrogates the wrong way round': '\udc00\ud800',
    'lone surrogate in a name': { '\ud83d': 1 },
    cycle,
    'depth 65': nested(65),
  };
  for (const [why, value] of Object.entries(refused)) {
    const error = t.throws(() => canonicalJson(value), CanonicalJsonError, why);
    t.match(error, { code: 'NOT_CANONICALIZABLE' });
    t.throws(() => canonicalBytes([{ in: value }]), CanonicalJsonError, `${why}, deeper`);
  }
  t.throws(() => canonicalJson(new Array(2 ** 32 - 1)), CanonicalJsonError, 'a huge sparse array costs nothing');
});

t.test('a polluted Object.prototype is seen, not obeyed', async (t) => {
  Object.defineProperty(Object.prototype, 'toJSON', { value: () => 'forged', configurable: true });
  t.teardown(() => Reflect.deleteProperty(Object.prototype, 'toJSON'));
  t.throws(() => canonicalJson({ a: 1 }), CanonicalJsonError);
});

t.test('accepts what only looks odd', async (t) => {
  t.equal(canonicalJson(Object.assign(Object.create(null), { b: 1, a: 2 })), '{"a":2,"b":1}', 'null prototype');
  t.equal(canonicalJson(nested(64)), `${'['.repeat(64)}${']'.repeat(64)}`, 'depth 64');
  const shared = { a: 1 };
  t.equal(canonicalJson([shared, shared]), '[{"a":1},{"a":1}]', 'the same object twice is no cycle');
  t.equal(canonicalJson(1e21), '1e+21', 'an integer written with an exponent claims no exactness');
});

t.test('agrees with an independent implementation', async () => {
  fc.assert(
    fc.property(canonicalizable(), (value) => canonicalJson(value) === canonicalize(value)),
    { numRuns: 2000 },
  );
});

t.test('does not depend on the order of insertion', async () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.integer()), (members) => {
      fc.pre(isCanonicalizable(members));
      const reversed = Object.fromEntries(Object.entries(members).reverse());
      return canonicalJson(members) === canonicalJson(reversed);
    }),
  );
});

/** JSON values, those aside that we refuse on purpose. */
function canonicalizable(): fc.Arbitrary<unknown> {
  return fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' }).filter(isCanonicalizable);
}

function isCanonicalizable(value: unknown): boolean {
  if (typeof value === 'string') return !value.includes('\0');
  if (typeof value === 'number') {
    return (
      !Object.is(value, -0) && (!Number.isInteger(value) || Number.isSafeInteger(value) || Math.abs(value) >= 1e21)
    );
  }
  if (typeof value !== 'object' || value === null) return true;
  const safeKeys = Object.keys(value).every((key) => key !== '__proto__' && !key.includes('\0'));
  return safeKeys && Object.values(value).every(isCanonicalizable);
}

function nested(depth: number): unknown {
  let value: unknown[] = [];
  for (let i = 1; i < depth; i++) value = [value];
  return value;
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, vectors), 'utf8'));
}
