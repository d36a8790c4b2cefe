import type { Arbitrary } from 'fast-check';
import fc from '../../support/fast-check.ts';

import { resolved, type Schema } from './document.ts';
import { NAUGHTY } from './naughty.ts';

/** Items and members of a generated value, when the schema allows more: bodies stay far below their bound. */
const MAX_ITEMS = 4;
const MAX_TEXT = 64;
const MAX_DEPTH = 3;
// Years that both RFC 3339 and a PostgreSQL timestamp have.
const TIMES = { min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true };

// Not fast-check's own `binary`: it makes a table of all code points for each arbitrary.
const CODE_POINT = fc
  .oneof(fc.integer({ min: 1, max: 0x7f }), fc.integer({ min: 1, max: 0xffff }), fc.integer({ min: 1, max: 0x10ffff }))
  .filter((point) => point < 0xd800 || point > 0xdfff)
  .map((point) => String.fromCodePoint(point));

/** Any text that UTF-8 carries, but for NUL. */
export const TEXT: Arbitrary<string> = fc.string({ unit: CODE_POINT, maxLength: MAX_TEXT });

/** Values for a member that its schema leaves open but that mean something, such as a key or a policy: by member name. */
export type Hints = Readonly<Record<string, Arbitrary<unknown>>>;

/** Arbitrary values that the schema takes and that I-JSON (RFC 7493) can carry. */
export function valuesOf(schema: Schema, hints: Hints = {}): Arbitrary<unknown> {
  const known = resolved(schema);
  if (known.const !== undefined) return fc.constant(known.const);
  if (known.enum !== undefined) return fc.constantFrom(...known.enum);
  const choices = known.anyOf ?? known.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map((choice) => valuesOf(choice, hints)));
  switch (known.type) {
    case 'object':
      return objects(known, hints);
    case 'array':
      return arrays(known, hints);
    case 'string':
      return texts(known);
    case 'integer':
      return integers(known);
    case 'number':
      return numbers(known);
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case undefined:
      return anything;
    default:
      throw new RangeError(`no values of type ${known.type}`);
  }
}

function objects(schema: Schema, hints: Hints): Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties = true } = schema;
  const members = Object.entries(properties).map(([name, member]) => {
    const values = hints[name] ?? valuesOf(member, hints);
    return [name, required.includes(name) ? values : fc.option(values, { nil: undefined })] as const;
  });
  const declared = fc.record(Object.fromEntries(members)).map(withoutUndefined);
  if (additionalProperties === false) return declared;
  const extra = fc.dictionary(
    schema.propertyNames === undefined ? memberNames : texts(schema.propertyNames),
    additionalProperties === true ? anything : valuesOf(additionalProperties, hints),
    { minKeys: schema.minProperties ?? 0, maxKeys: Math.min(schema.maxProperties ?? MAX_ITEMS, MAX_ITEMS) },
  );
  return fc.tuple(extra, declared).map(([more, own]) => ({ ...more, ...own }));
}

function arrays({ items = {}, minItems = 0, maxItems, uniqueItems }: Schema, hints: Hints): Arbitrary<unknown> {
  const size = { minLength: minItems, maxLength: Math.max(minItems, Math.min(maxItems ?? MAX_ITEMS, MAX_ITEMS)) };
  const values = valuesOf(items, hints);
  return uniqueItems === true ? fc.uniqueArray(values, { ...size, selector: JSON.stringify }) : fc.array(values, size);
}

function texts(schema: Schema): Arbitrary<string> {
  const { format, pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema;
  if (format === 'date-time') return fc.date(TIMES).map((time) => time.toISOString());
  if (format !== undefined) throw new RangeError(`no texts of format ${format}`);
  // Ajv counts code points, and reads patterns with the flag `u`.
  const length = (text: string) => [...text].length;
  const expression = pattern === undefined ? undefined : new RegExp(pattern, 'u');
  const fits = (text: string) =>
    // A pattern may let it in, the strict reader never does.
    !text.includes('\0') &&
    length(text) >= minLength &&
    length(text) <= maxLength &&
    (expression === undefined || expression.test(text));
  const free = fc.string({
    unit: CODE_POINT,
    minLength,
    maxLength: Math.min(maxLength, Math.max(minLength, MAX_TEXT)),
  });
  const generated = expression === undefined ? free : fc.stringMatching(expression);
  const naughty = NAUGHTY.filter(fits);
  const good = generated.filter(fits);
  if (naughty.length === 0) return good;
  return fc.oneof({ weight: 3, arbitrary: good }, { weight: 1, arbitrary: fc.constantFrom(...naughty) });
}

function integers({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): Arbitrary<number> {
  return fc.integer({
    min: minimum ?? (exclusiveMinimum ?? Number.MIN_SAFE_INTEGER - 1) + 1,
    max: maximum ?? (exclusiveMaximum ?? Number.MAX_SAFE_INTEGER + 1) - 1,
  });
}

function numbers({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): Arbitrary<number> {
  const min = minimum ?? exclusiveMinimum;
  const max = maximum ?? exclusiveMaximum;
  return fc
    .double({
      noNaN: true,
      noDefaultInfinity: true,
      minExcluded: minimum === undefined && exclusiveMinimum !== undefined,
      maxExcluded: maximum === undefined && exclusiveMaximum !== undefined,
      ...(min === undefined ? {} : { min }),
      ...(max === undefined ? {} : { max }),
    })
    .map(withoutMinusZero)
    .filter(isHeld);
}

const anyText = fc.oneof(TEXT, fc.constantFrom(...NAUGHTY));
const memberNames = anyText.filter((name) => name !== '__proto__');

/** Any value of I-JSON. */
const anything: Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: MAX_DEPTH },
    fc.constantFrom(null, true, false),
    anyText,
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(withoutMinusZero).filter(isHeld),
    fc.array(tie('value'), { maxLength: MAX_ITEMS }),
    fc.dictionary(memberNames, tie('value'), { maxKeys: MAX_ITEMS, noNullPrototype: true }),
  ),
})).value;

function withoutMinusZero(value: number): number {
  return value === 0 ? 0 : value;
}

/** An integer beyond 2^53 may have been another before it was rounded: the service refuses it. */
function isHeld(value: number): boolean {
  return !Number.isInteger(value) || Number.isSafeInteger(value);
}

function withoutUndefined(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
}
