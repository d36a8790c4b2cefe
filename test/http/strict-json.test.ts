import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { parseStrictJson, parseStrictJsonText, StrictJsonError } from '../../src/http/strict-json.ts';
import fc from '../support/fast-check.ts';

interface Case {
  why: string;
  text?: string;
  base64?: string;
  pointer?: string;
  detail: string;
}

const cases: Case[] = JSON.parse(readFileSync(new URL('strict-json-cases.json', import.meta.url), 'utf8'));

t.test('refuses hostile bodies and says where', async (t) => {
  for (const { why, text = '', base64, pointer, detail } of cases) {
    const bytes = base64 === undefined ? Buffer.from(text) : Buffer.from(base64, 'base64');
    const error = refusal(() => parseStrictJson(bytes));
    t.match(error, { code: 'MALFORMED_JSON', message: detail }, why);
    if (pointer !== undefined) t.match(error?.members, { errors: [{ pointer }] }, `${why}: pointer`);
    if (base64 === undefined)
      t.ok(
        refusal(() => parseStrictJsonText(text)),
        `${why}, as text`,
      );
  }
  t.ok(
    refusal(() => parseStrictJsonText('"\ud800"')),
    'a raw lone surrogate, which only text can hold',
  );
});

t.test('accepts what is only unusual', async (t) => {
  const accepted = [
    ...[
      'null',
      ' [ ] ',
      '"\\ud83d\\ude02"',
      '{"a":{"a":{"a":1}}}',
      '[{"a":1},{"a":1}]',
      '[{},"__proto__"]',
      '{"a":"__proto__"}',
      '"a\\\\"',
      '"\\\\u0000"',
    ],
    ...['{"constructor":1,"prototype":2,"hasOwnProperty":3,"toString":4}', '{"":0}', '["\\"",":,{}[]"]'],
    ...['9007199254740991', '-9007199254740991', '1e21', '1E+30', '0.1', '0.30000000000000004', '-1.5e-7', '0', '0e5'],
    ...['333333333.33333329', '1.7976931348623157e308', '5e-324', '1.00000000000000000000', '100.0e-2'],
  ];
  for (const text of accepted) t.same(parseStrictJsonText(text), JSON.parse(text), text);
});

t.test('the result cannot reach a prototype', async (t) => {
  const value = parseStrictJsonText('{"constructor":{"prototype":{"polluted":true}}}');
  t.equal(Object.getPrototypeOf(value), Object.prototype);
  t.notOk('polluted' in {});
});

t.test('depth', async (t) => {
  t.ok(parseStrictJsonText(`${'['.repeat(64)}${']'.repeat(64)}`), '64 is allowed');
  t.ok(
    refusal(() => parseStrictJsonText(`${'['.repeat(65)}${']'.repeat(65)}`)),
    '65 is not',
  );
  t.ok(
    refusal(() => parseStrictJsonText('[[]]', { maxDepth: 1 })),
    'the caller may allow less',
  );
  t.same(parseStrictJsonText('[{},[],{"a":[]}]', { maxDepth: 3 }), [{}, [], { a: [] }], 'siblings do not add up');
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    t.ok(
      refusal(() => parseStrictJsonText(open.repeat(100_000))),
      `100,000 × ${open}`,
    );
    const closed = refusal(() => parseStrictJsonText(`${open.repeat(100_000)}1${close.repeat(100_000)}`));
    t.match(closed, { message: /nested deeper than 64/ }, `100,000 × ${open}, closed`);
  }
});

t.test('hostile bodies of 1 MiB take linear time', async (t) => {
  const hostile = [
    `["\\u0041",${'"a",'.repeat(250_000)}1]`,
    `[0.${'0'.repeat(500_000)}1${'0'.repeat(500_000)}]`,
    `["${'\\\\'.repeat(500_000)}"]`,
    `{${Array.from({ length: 90_000 }, (_, i) => `"k${i}":1`).join()}}`,
  ];
  for (const text of hostile) {
    const start = performance.now();
    refusal(() => parseStrictJsonText(text));
    t.ok(performance.now() - start < 5_000, text.slice(0, 20));
  }
});

t.test('an error does not quote the body', async (t) => {
  const error = refusal(() => parseStrictJsonText('{"password":"hunter2" hunter2}'));
  t.notMatch(JSON.stringify([error?.message, error?.members, String(error?.cause)]), /hunter2/);
  const long = refusal(() => parseStrictJsonText(`{"${'k'.repeat(100_000)}":-0}`));
  t.ok(String(long?.message).length < 1_000, 'nor a long name');
});

t.test('agrees with JSON.parse on every text it accepts', async () => {
  const value = fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' }).filter((value) => isStrict(value));
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      return isDeepStrictEqual(parseStrictJson(Buffer.from(text)), JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

t.test('finds the second of two equal names wherever it stands', async () => {
  const name = fc.string({ unit: 'binary' }).filter((name) => name !== '__proto__' && !name.includes('\0'));
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1 }), fc.nat(), fc.nat(), (names, pick, place) => {
      const twice = names.toSpliced(place % (names.length + 1), 0, names[pick % names.length] ?? '');
      const text = `{${twice.map((name) => `${JSON.stringify(name)}:[{}]`).join(',')}}`;
      return refusal(() => parseStrictJsonText(text))?.message.includes('twice') ?? false;
    }),
  );
});

/** fast-check's numbers may be unsafe integers, its strings and names U+0000. */
function isStrict(value: unknown): boolean {
  if (typeof value === 'string') return !value.includes('\0');
  if (typeof value === 'number') {
    return !Number.isInteger(value) || Number.isSafeInteger(value) || Math.abs(value) >= 1e21;
  }
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, member]) => key !== '__proto__' && isStrict(key) && isStrict(member));
}

function refusal(parse: () => unknown): StrictJsonError | undefined {
  try {
    parse();
  } catch (error) {
    if (error instanceof StrictJsonError) return error;
    throw error;
  }
  return undefined;
}
