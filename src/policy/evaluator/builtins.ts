import { createHash } from 'node:crypto';
import { compareRegoValues, type RegoValue } from './rego-value.ts';
import { regoSprintf } from './sprintf.ts';

/** A function the wasm asks its host for; undefined means undefined in Rego, as a failed builtin is in OPA. */
export type HostBuiltin = (...args: RegoValue[]) => RegoValue | undefined;

const HEX = /^(?:[0-9a-fA-F]{2})*$/;
const SEMVER = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]*))?(?:\+([0-9A-Za-z.-]+))?$/;

/** The builtins OPA's wasm lacks and this host has. Pure and deterministic, all of them. */
export const HOST_BUILTINS: Readonly<Record<string, HostBuiltin>> = {
  sprintf: (format, values) =>
    format?.type === 'string' && values?.type === 'array' ? text(regoSprintf(format.value, values.items)) : undefined,
  'strings.any_prefix_match': (search, base) => anyMatch(search, base, (value, part) => value.startsWith(part)),
  'strings.any_suffix_match': (search, base) => anyMatch(search, base, (value, part) => value.endsWith(part)),
  'strings.count': (search, part) =>
    search?.type === 'string' && part?.type === 'string' ? integer(countOf(search.value, part.value)) : undefined,
  'object.subset': (whole, part) => isSubset(whole, part),
  'hex.encode': (value) => (value?.type === 'string' ? text(Buffer.from(value.value).toString('hex')) : undefined),
  'hex.decode': (value) =>
    value?.type === 'string' && HEX.test(value.value) ? decoded(Buffer.from(value.value, 'hex')) : undefined,
  'crypto.sha256': (value) =>
    value?.type === 'string' ? text(createHash('sha256').update(value.value).digest('hex')) : undefined,
  'semver.is_valid': (value) => truth(value?.type === 'string' && parseSemver(value.value) !== undefined),
  'semver.compare': (a, b) => compareSemver(a, b),
};

function text(value: string): RegoValue {
  return { type: 'string', value };
}

function integer(value: number): RegoValue {
  return { type: 'number', text: String(value) };
}

function truth(value: boolean): RegoValue {
  return { type: 'boolean', value };
}

// Bytes that are no UTF-8 cannot be a JSON string; undefined is the honest answer.
function decoded(bytes: Buffer): RegoValue | undefined {
  const value = bytes.toString('utf8');
  return Buffer.from(value).equals(bytes) ? text(value) : undefined;
}

function anyMatch(
  search: RegoValue | undefined,
  base: RegoValue | undefined,
  matches: (value: string, part: string) => boolean,
): RegoValue | undefined {
  const values = strings(search);
  const parts = strings(base);
  if (values === undefined || parts === undefined) return undefined;
  return truth(values.some((value) => parts.some((part) => matches(value, part))));
}

function strings(value: RegoValue | undefined): string[] | undefined {
  if (value?.type === 'string') return [value.value];
  if (value?.type !== 'array' && value?.type !== 'set') return undefined;
  const out: string[] = [];
  for (const item of value.items) {
    if (item.type !== 'string') return undefined;
    out.push(item.value);
  }
  return out;
}

function countOf(search: string, part: string): number {
  return part === '' ? [...search].length + 1 : search.split(part).length - 1;
}

function isSubset(whole: RegoValue | undefined, part: RegoValue | undefined): RegoValue | undefined {
  if (whole?.type === 'object' && part?.type === 'object') return truth(objectContains(whole.entries, part.entries));
  if (whole?.type === 'set' && part?.type === 'set')
    return truth(part.items.every((item) => includes(whole.items, item)));
  if (whole?.type === 'array' && part?.type === 'set')
    return truth(part.items.every((item) => includes(whole.items, item)));
  if (whole?.type === 'array' && part?.type === 'array') return truth(isRun(whole.items, part.items));
  return undefined;
}

function objectContains(whole: readonly [RegoValue, RegoValue][], part: readonly [RegoValue, RegoValue][]): boolean {
  return part.every(([key, wanted]) => {
    const found = whole.find(([other]) => compareRegoValues(key, other) === 0)?.[1];
    if (found === undefined) return false;
    if (found.type === 'object' && wanted.type === 'object') return objectContains(found.entries, wanted.entries);
    if (found.type === 'set' && wanted.type === 'set') return wanted.items.every((item) => includes(found.items, item));
    if (found.type === 'array' && wanted.type === 'array') return isRun(found.items, wanted.items);
    return compareRegoValues(found, wanted) === 0;
  });
}

function includes(items: readonly RegoValue[], wanted: RegoValue): boolean {
  return items.some((item) => compareRegoValues(item, wanted) === 0);
}

function isRun(whole: readonly RegoValue[], part: readonly RegoValue[]): boolean {
  for (let start = 0; start + part.length <= whole.length; start += 1) {
    if (part.every((item, index) => compareRegoValues(item, whole[start + index] ?? { type: 'null' }) === 0))
      return true;
  }
  return false;
}

interface Semver {
  core: bigint[];
  pre: string[];
}

function parseSemver(value: string): Semver | undefined {
  const found = value.length > 256 ? null : SEMVER.exec(value);
  if (found === null) return undefined;
  return {
    core: [found[1], found[2], found[3]].map((part) => BigInt(part ?? 0)),
    pre: found[4] ? found[4].split('.') : [],
  };
}

function compareSemver(a: RegoValue | undefined, b: RegoValue | undefined): RegoValue | undefined {
  if (a?.type !== 'string' || b?.type !== 'string') return undefined;
  const left = parseSemver(a.value);
  const right = parseSemver(b.value);
  if (left === undefined || right === undefined) return undefined;
  for (const [index, part] of left.core.entries()) {
    const other = right.core[index] ?? 0n;
    if (part !== other) return integer(part < other ? -1 : 1);
  }
  if (left.pre.length === 0 || right.pre.length === 0) return integer(Math.sign(right.pre.length - left.pre.length));
  return integer(comparePrerelease(left.pre, right.pre));
}

// Semantic Versioning 2.0 §11.4
function comparePrerelease(a: readonly string[], b: readonly string[]): number {
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined) return 1;
    if (left === right) continue;
    const leftIsNumber = /^\d+$/.test(left);
    const rightIsNumber = /^\d+$/.test(right);
    if (leftIsNumber && rightIsNumber) return BigInt(left) < BigInt(right) ? -1 : 1;
    if (leftIsNumber !== rightIsNumber) return leftIsNumber ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return Math.sign(a.length - b.length);
}
