import type { Arbitrary } from 'fast-check';
import fc from '../../support/fast-check.ts';

import { NAUGHTY } from './naughty.ts';

/** A body that should not be taken, and what was done to it. */
export interface SpoiltBody {
  readonly why: string;
  readonly bytes: Buffer;
}

/** Deep enough for a recursive reader to run out of stack. */
const DEPTHS = [65, 1_000, 100_000];
const LONG = 200_000;

/** JSON texts in place of a value; some are no JSON. */
const INSTEAD: readonly string[] = [
  ...['null', 'true', 'false', '0', '-1', '1', '1.5', '2147483648', '1e21', '1e308', '""', '"x"', '[]', '{}', '[null]'],
  ...['1e400', '-1e400', 'NaN', 'Infinity', '-Infinity', '-0', '-0.0', '01', '+1', '.5', '1.', '0x10', 'undefined'],
  ...['12345678901234567890', '0.1000000000000000055511151231257827', '9007199254740993', '1e-400'],
  ...['"NaN"', '"Infinity"', '"1"', '"null"', "'x'", '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\u0001"', '"\\x"'],
  ...['{"__proto__":{"roles":["kernel-admin"]}}', '{"constructor":{"prototype":{"a":1}}}', '{"toString":1}'],
  ...['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '[1,]', '{"a":1,}', '[,]', '{"$ref":"#"}', '/* */1', '1//'],
  ...NAUGHTY.map((text) => JSON.stringify(text)),
  `"${'a'.repeat(LONG)}"`,
  `[${'0,'.repeat(LONG / 10)}0]`,
  ...DEPTHS.flatMap((depth) => [
    `${'['.repeat(depth)}${']'.repeat(depth)}`,
    `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
    '['.repeat(depth),
  ]),
];

const EXTRA_MEMBERS = [
  'actor',
  'principal',
  'workspaceId',
  '__proto__',
  'constructor',
  'toString',
  '',
  'a',
  ...NAUGHTY,
];

type Change = (text: string, value: unknown) => string;

/** Changes of one value in the body. */
const changes: Arbitrary<{ why: string; change: Change }> = fc.oneof(
  fc.constantFrom(...INSTEAD).map((instead) => ({ why: `instead: ${instead.slice(0, 40)}`, change: () => instead })),
  fc
    .constantFrom(...EXTRA_MEMBERS)
    .map((name) => ({ why: `extra member ${name.slice(0, 40)}`, change: extraMember(name) })),
  fc.nat().map((index) => ({ why: 'a member less', change: memberLess(index) })),
  fc.nat().map((index) => ({ why: 'a member twice', change: memberTwice(index) })),
  fc.constant({ why: 'in a list', change: (text: string) => `[${text}]` }),
  fc.constant({ why: 'in an object', change: (text: string) => `{"value":${text}}` }),
  fc.constant({ why: 'as text', change: (text: string) => JSON.stringify(text) }),
);

/** Changes of the whole text. */
const WHOLE: readonly { why: string; change: (text: Buffer) => Buffer }[] = [
  { why: 'nothing', change: () => Buffer.alloc(0) },
  { why: 'blanks', change: () => Buffer.from(' \t\r\n') },
  { why: 'a byte order mark', change: (text) => Buffer.concat([Buffer.from('\ufeff'), text]) },
  { why: 'UTF-16', change: (text) => Buffer.from(text.toString('utf8'), 'utf16le') },
  { why: 'no UTF-8', change: (text) => Buffer.concat([text.subarray(0, -1), Buffer.from([0x22, 0xc3, 0x28, 0x22])]) },
  { why: 'overlong UTF-8', change: (text) => Buffer.concat([Buffer.from([0xc0, 0xaf]), text]) },
  { why: 'a surrogate in UTF-8', change: () => Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]) },
  { why: 'cut off', change: (text) => text.subarray(0, -1) },
  { why: 'twice', change: (text) => Buffer.concat([text, text]) },
  { why: 'more behind it', change: (text) => Buffer.concat([text, Buffer.from(']')]) },
  { why: 'NUL behind it', change: (text) => Buffer.concat([text, Buffer.from([0])]) },
  { why: 'a guard before it', change: (text) => Buffer.concat([Buffer.from(")]}',\n"), text]) },
];

/** Bodies made from good ones by one change. Some changes do no harm (an optional member less): filter by an oracle. */
export function spoiltBodies(good: Arbitrary<unknown>): Arbitrary<SpoiltBody> {
  const inside = fc.tuple(good, fc.nat(), changes).map(([value, at, { why, change }]) => ({
    why,
    bytes: Buffer.from(changedAt(value, at % countValues(value), change)),
  }));
  const whole = fc.tuple(good, fc.constantFrom(...WHOLE)).map(([value, { why, change }]) => ({
    why,
    bytes: change(Buffer.from(JSON.stringify(value))),
  }));
  return fc.oneof({ weight: 4, arbitrary: inside }, { weight: 1, arbitrary: whole });
}

function countValues(value: unknown): number {
  return childrenOf(value).reduce<number>((sum, child) => sum + countValues(child), 1);
}

function childrenOf(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

/** The JSON text of `value` with the value number `at`, counted from the outside and the left, changed. */
function changedAt(value: unknown, at: number, change: Change): string {
  let counted = -1;
  const write = (one: unknown): string => {
    counted += 1;
    const own = counted;
    const text = writeInside(one, write);
    return own === at ? change(text, one) : text;
  };
  return write(value);
}

function writeInside(value: unknown, write: (child: unknown) => string): string {
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, member]) => `${JSON.stringify(name)}:${write(member)}`)
    .join(',')}}`;
}

function extraMember(name: string): Change {
  return (text) => {
    if (!text.startsWith('{')) return text;
    const comma = text === '{}' ? '' : ',';
    return `${text.slice(0, -1)}${comma}${JSON.stringify(name)}:1}`;
  };
}

function memberLess(index: number): Change {
  return withMembers((members) => members.filter((_, nth) => nth !== index % members.length));
}

function memberTwice(index: number): Change {
  return withMembers((members) => [...members, ...members.slice(index % members.length).slice(0, 1)]);
}

function withMembers(change: (members: readonly string[]) => readonly string[]): Change {
  return (text, value) => {
    if (Array.isArray(value) || typeof value !== 'object' || value === null) return text;
    const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${JSON.stringify(member)}`);
    return members.length === 0 ? text : `{${change(members).join(',')}}`;
  };
}
