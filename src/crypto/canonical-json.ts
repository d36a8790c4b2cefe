import { CodedError } from '../errors.ts';

/** Containers may nest this deep: the bound keeps the recursion off the end of the stack and ends a cycle. */
const MAX_DEPTH = 64;
/** From here on ECMAScript writes an integer with an exponent, so no reader can take it for an exact integer. */
const EXPONENT_FROM = 1e21;
/** A string of these characters alone is its own JSON form. */
const NEEDS_CARE = /[^\x20\x21\x23-\x5b\x5d-\x7e]/;

/** A value has no canonical form that every reader would take for the same value. */
export class CanonicalJsonError extends CodedError {
  readonly code = 'NOT_CANONICALIZABLE';
}

/**
 * The RFC 8785 text of `value`. Throws CanonicalJsonError for anything JavaScript would drop or change on the way:
 * what is hashed and signed is exactly what was given, or nothing is.
 */
export function canonicalJson(value: unknown): string {
  return write(value, 1);
}

/** The RFC 8785 bytes (UTF-8, no BOM) of `value`: the form that is hashed, signed and stored. Throws as canonicalJson. */
export function canonicalBytes(value: unknown): Buffer {
  return Buffer.from(write(value, 1), 'utf8');
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return writeString(value);
    case 'number':
      return writeNumber(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (depth > MAX_DEPTH) throw new CanonicalJsonError(`nested deeper than ${MAX_DEPTH}, or a cycle`);
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth);
    default:
      throw new CanonicalJsonError(`${typeof value} has no JSON form`);
  }
}

function writeArray(items: readonly unknown[], depth: number): string {
  if (Object.getPrototypeOf(items) !== Array.prototype) throw new CanonicalJsonError('not a plain array');
  const names = Reflect.ownKeys(items).length - 1; // every index, without `length`
  if (names < items.length) throw new CanonicalJsonError('a sparse array has no JSON form');
  if (names > items.length) throw new CanonicalJsonError('an array with named members has no JSON form');
  let text = '[';
  for (let i = 0; i < items.length; i++) {
    if (i > 0) text += ',';
    text += write(items[i], depth + 1);
  }
  return `${text}]`;
}

function writeObject(value: object, depth: number): string {
  if (!isPlain(value)) throw new CanonicalJsonError('only plain objects and arrays have a canonical form');
  if (typeof value['toJSON'] === 'function') throw new CanonicalJsonError('toJSON would replace the value');
  const keys = Object.keys(value);
  if (Reflect.ownKeys(value).length !== keys.length) {
    throw new CanonicalJsonError('a symbol or hidden member has no JSON form');
  }
  let text = '{';
  // The default sort compares UTF-16 code units, the order of RFC 8785 §3.2.3.
  for (const key of keys.sort()) {
    if (key === '__proto__') throw new CanonicalJsonError('a member named __proto__ is refused');
    if (text.length > 1) text += ',';
    text += `${writeString(key)}:${write(value[key], depth + 1)}`;
  }
  return `${text}}`;
}

function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function writeNumber(value: number): string {
  if (!Number.isFinite(value)) throw new CanonicalJsonError('a number must be finite');
  if (Object.is(value, -0)) throw new CanonicalJsonError('negative zero would lose its sign');
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < EXPONENT_FROM) {
    throw new CanonicalJsonError('an integer beyond 2^53-1 is not exact');
  }
  return String(value); // ECMAScript Number::toString, as RFC 8785 §3.2.2.3 asks
}

function writeString(value: string): string {
  if (!NEEDS_CARE.test(value)) return `"${value}"`;
  if (value.includes('\0')) throw new CanonicalJsonError('U+0000 is refused: databases cut or refuse it');
  // Node hashes a lone surrogate as U+FFFD: two different strings would share a digest.
  if (!value.isWellFormed()) throw new CanonicalJsonError('a lone surrogate is not Unicode');
  return JSON.stringify(value); // its escapes are those of RFC 8785 §3.2.2.2
}
