import t from 'tap';
import fc, { SEED } from '../support/fast-check.ts';

import { opaEval, wasmEval } from './real-opa.ts';

const modules = {
  'promotion.rego': `package castellan.promotion
deny contains {"code": "NEVER", "reason": "never"} if false

answers[i] := answer(c.name, c.args) if some i, c in input.cases

answer("sprintf", [format, values]) := sprintf(format, values)
answer("sprintf.set", [format, values]) := sprintf(format, [{value | some value in values}])
answer("strings.any_prefix_match", [a, b]) := strings.any_prefix_match(a, b)
answer("strings.any_suffix_match", [a, b]) := strings.any_suffix_match(a, b)
answer("strings.count", [a, b]) := strings.count(a, b)
answer("object.subset", [a, b]) := object.subset(a, b)
answer("object.subset.set", [a, b]) := object.subset({x | some x in a}, {x | some x in b})
answer("hex.encode", [a]) := hex.encode(a)
answer("hex.decode", [a]) := hex.decode(a)
answer("crypto.sha256", [a]) := crypto.sha256(a)
answer("semver.is_valid", [a]) := semver.is_valid(a)
answer("semver.compare", [a, b]) := semver.compare(a, b)
`,
};

interface Case {
  name: string;
  args: unknown[];
}

// What printing looks at: printable or not, beyond the BMP, quotes; NUL never gets past the readers of JSON.
const text = fc
  .string({
    unit: fc.constantFrom(
      'a',
      'Z',
      '0',
      ' ',
      '"',
      '\\',
      '`',
      "'",
      '\n',
      '\u0007',
      '\u007f',
      'é',
      'ß',
      '€',
      '😀',
      '\u2028',
      '\u00a0',
    ),
  })
  .map((value) => value.slice(0, 40));
const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    1,
    -1,
    9,
    10,
    65,
    128512,
    0.1,
    1.5,
    -2.5,
    1e6,
    123456.75,
    1234567.5,
    1e20,
    1e21,
    1e-5,
    0.00001234,
    3.5e-10,
  ),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e12, max: 1e12 }).filter((value) => !Object.is(value, -0)),
);
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 2 },
    text,
    number,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(text, tie('value'), { maxKeys: 3 }),
  ),
})).value;
const directive = fc
  .record({
    flags: fc.subarray(['+', '-', '#', ' ', '0']).map((flags) => flags.join('')),
    width: fc.constantFrom('', '', '', '5', '12'),
    precision: fc.constantFrom('', '', '', '.', '.0', '.2', '.7'),
    verb: fc.constantFrom(...'vvvdddsssqxXfegEGtboOcUT%z'),
  })
  .map(({ flags, width, precision, verb }) => `%${flags}${width}${precision}${verb}`);
const simple = fc.constantFrom(
  '%v',
  '%d',
  '%s',
  '%q',
  '%f',
  '%.2f',
  '%x',
  '%t',
  '%5d',
  '%-5s|',
  '%%',
  '%[2]v',
  '%[1]d',
  '%*d',
  '%',
  '%!',
  '%[9]d',
  '%[x]d',
);
const format = fc.array(fc.oneof(text, simple, directive), { maxLength: 4 }).map((parts) => parts.join(''));
const semver = fc.oneof(
  fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3)).map((parts) => parts.join('.')),
  fc.constantFrom(
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-2',
    '1.0.0-11',
    '1.0.0+b',
    '1.0',
    'v1.0.0',
    '',
    '1.0.0-',
  ),
);

const cases: Record<string, fc.Arbitrary<Case>> = {
  sprintf: fc.record({ name: fc.constant('sprintf'), args: fc.tuple(format, fc.array(value, { maxLength: 3 })) }),
  'sprintf of sets': fc.record({
    name: fc.constant('sprintf.set'),
    args: fc.tuple(fc.constantFrom('%v', '%s', '%d', '%q'), fc.array(value, { maxLength: 5 })),
  }),
  strings: fc.record({
    name: fc.constantFrom('strings.any_prefix_match', 'strings.any_suffix_match', 'strings.count'),
    args: fc.tuple(
      ...[0, 1].map(() =>
        fc.oneof(
          fc.constantFrom('', 'a', 'ab', 'aba', 'é'),
          fc.array(fc.constantFrom('', 'a', 'ba', 'é'), { maxLength: 3 }),
        ),
      ),
    ),
  }),
  subsets: fc.record({
    name: fc.constantFrom('object.subset', 'object.subset.set'),
    args: fc.constantFrom(
      [{ a: 1, b: { c: [1, 2, 3] } }, { b: { c: [2, 3] } }],
      [{ a: 1 }, { a: 1, b: 2 }],
      [{ a: null }, { a: null }],
      [
        [1, 2, 3],
        [2, 3],
      ],
      [
        [1, 2, 3],
        [3, 2],
      ],
      [[1, 2], []],
      [[], [1]],
      [{ a: 1 }, [1]],
      ['a', 'a'],
      [{ a: { b: 1, c: 2 } }, { a: { c: 2 } }],
      [{ a: 1.0 }, { a: 1 }],
    ),
  }),
  'hex and digests': fc.record({
    name: fc.constantFrom('hex.encode', 'crypto.sha256'),
    args: fc.tuple(text),
  }),
  'hex of texts': fc.record({
    name: fc.constant('hex.decode'),
    args: fc.tuple(fc.constantFrom('', '6162', '6', 'zz', '48C3A9', '0')),
  }),
  versions: fc
    .record({ name: fc.constantFrom('semver.compare', 'semver.is_valid'), args: fc.tuple(semver, semver) })
    .map(({ name, args }) => ({ name, args: name === 'semver.is_valid' ? args.slice(0, 1) : args })),
};

for (const [title, arbitrary] of Object.entries(cases)) {
  t.test(`${title}: the wasm host answers what OPA answers`, async (t) => {
    const sample = fc.sample(arbitrary, { numRuns: 3000 });
    t.comment(`TESTING_SEED=${SEED}`);
    const evaluate = await wasmEval(modules);
    const expected = await opaEval('data.castellan.promotion.answers', { modules, input: { cases: sample } });
    // One input for each: a builtin that fails must leave the others alone.
    const actual = sample.map((one) => Object.entries(answersOf(evaluate({ cases: [one] })))[0]?.[1]);
    const wanted = sample.map((_, index) => answersOf({ answers: expected })[String(index)]);
    const different = sample.flatMap((one, index) =>
      JSON.stringify(actual[index]) === JSON.stringify(wanted[index])
        ? []
        : [{ ...one, actual: actual[index], wanted: wanted[index] }],
    );
    for (const one of different.slice(0, 8)) t.comment(encodeURI(JSON.stringify(one).slice(0, 1000)));
    t.equal(different.length, 0, 'answers that differ');
    t.ok(wanted.some((answer) => answer !== undefined));
  });
}

function answersOf(document: unknown): Record<string, unknown> {
  const { answers }: { answers?: Record<string, unknown> } = Object(document);
  return answers ?? {};
}
