const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const LETTER_E = 0x65;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** What every double survives being written with (IEEE 754 §5.12.2). */
const DOUBLE_DIGITS = 17;
/** A plain number this short is always held. */
const SHORT_NUMBER = 15;
/** From here on ECMAScript writes integers with an exponent: no reader takes them for exact (see canonical-json). */
const EXPONENT_FROM = 1e21;
/** A pointer goes into an answer; a body full of one long key must not. */
const MAX_POINTER = 512;

export interface Violation {
  readonly pointer: string;
  readonly detail: string;
}

/** A container that is open: its members so far, or for an array the index of the element being read. */
interface Frame {
  readonly keys: Set<string> | undefined;
  key: string;
  index: number;
}

/**
 * The first thing in `text` that strict JSON forbids, else undefined. `text` must have passed JSON.parse: this pass
 * reads tokens and leaves the grammar alone. It does not recurse, so depth cannot end the process. With `unsafeNumber`,
 * numbers are no violation: it is told of the first.
 */
export function findViolation(
  text: string,
  maxDepth: number,
  unsafeNumber?: (violation: Violation) => void,
): Violation | undefined {
  const open: Frame[] = [];
  const escapes = text.includes('\\');
  let frame: Frame | undefined;
  let keyNext = false;
  let told = false;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    let detail: string | undefined;
    let end = at + 1;
    if (code === QUOTE) {
      end = escapes ? endOfString(text, at) : text.indexOf('"', at + 1) + 1;
      if (keyNext && frame !== undefined) detail = keyProblem(text.slice(at, end), frame);
      else if (escapes) detail = stringProblem(text.slice(at, end));
      keyNext = false;
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      end = endOfNumber(text, at);
      detail = numberProblem(text.slice(at, end));
      if (detail !== undefined && unsafeNumber !== undefined) {
        if (!told) unsafeNumber({ pointer: pointerOf(open), detail });
        told = true;
        detail = undefined;
      }
    } else if (code === COMMA) {
      if (frame?.keys === undefined) bump(frame);
      else keyNext = true;
    } else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      if (open.length >= maxDepth) return { pointer: pointerOf(open), detail: `nested deeper than ${maxDepth}` };
      frame = { keys: code === OPEN_OBJECT ? new Set() : undefined, key: '', index: 0 };
      keyNext = code === OPEN_OBJECT;
      open.push(frame);
    } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      open.pop();
      frame = open.at(-1);
      keyNext = false;
    }
    if (detail !== undefined) return { pointer: pointerOf(open), detail };
    at = end;
  }
  return undefined;
}

function bump(frame: Frame | undefined): void {
  if (frame !== undefined) frame.index += 1;
}

/** The end of a string token in a text that has escapes somewhere. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (let code = text.charCodeAt(at); code !== QUOTE; code = text.charCodeAt(at)) at += code === BACKSLASH ? 2 : 1;
  return at + 1;
}

function keyProblem(token: string, frame: Frame): string | undefined {
  frame.key = decode(token);
  if (frame.key === '__proto__') return 'a member named __proto__ is refused';
  if (frame.keys?.has(frame.key)) return 'the member appears twice';
  frame.keys?.add(frame.key);
  return textProblem(frame.key, token);
}

function stringProblem(token: string): string | undefined {
  return token.includes('\\u') ? textProblem(decode(token), token) : undefined;
}

/** Only an escape can bring U+0000 or a lone surrogate into a well-formed text. */
function textProblem(value: string, token: string): string | undefined {
  if (!token.includes('\\u')) return undefined;
  if (value.includes('\0')) return 'contains U+0000';
  return value.isWellFormed() ? undefined : 'contains a lone surrogate';
}

function decode(token: string): string {
  if (!token.includes('\\')) return token.slice(1, -1);
  const value: unknown = JSON.parse(token);
  return String(value);
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1;
  for (let code = text.charCodeAt(at); isNumberPart(code); code = text.charCodeAt(at)) at += 1;
  return at;
}

function isNumberPart(code: number): boolean {
  // digits . + - E e
  return (
    (code >= ZERO && code <= NINE) || code === 0x2e || code === 0x2b || code === MINUS || (code | 0x20) === LETTER_E
  );
}

function numberProblem(token: string): string | undefined {
  if (token.length <= SHORT_NUMBER && token.charCodeAt(0) !== MINUS && !/e/i.test(token)) return undefined;
  const value = Number(token);
  const digits = significantDigits(token);
  if (!Number.isFinite(value)) return 'the number is too large';
  if (value === 0 && digits > 0) return 'the number is too small';
  if (Object.is(value, -0)) return 'negative zero would lose its sign';
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    if (/^-?\d+$/.test(token) || Math.abs(value) < EXPONENT_FROM) return 'the integer is beyond 2^53-1';
  }
  return digits > DOUBLE_DIGITS ? 'the number has more digits than a double holds' : undefined;
}

/** Digits from the first to the last that is not zero. A loop, because a pattern would be quadratic in hostile zeros. */
function significantDigits(token: string): number {
  let digits = 0;
  let significant = 0;
  for (let at = 0; at < token.length; at++) {
    const code = token.charCodeAt(at);
    if ((code | 0x20) === LETTER_E) break;
    if (code < ZERO || code > NINE) continue;
    if (digits > 0 || code > ZERO) digits += 1;
    if (code > ZERO) significant = digits;
  }
  return significant;
}

function pointerOf(open: readonly Frame[]): string {
  let pointer = '';
  for (const { keys, key, index } of open) {
    const name = keys === undefined ? String(index) : key.replaceAll('~', '~0').replaceAll('/', '~1');
    if (pointer.length + name.length >= MAX_POINTER) return pointer;
    pointer += `/${name}`;
  }
  return pointer.toWellFormed();
}
