import { formatGoFloat } from './go-float.ts';
import { type RegoValue, sortedEntries, sortedItems } from './rego-value.ts';

/** What OPA hands to Go's fmt: numbers as int, big.Int or float64; everything else as a string. */
type Argument =
  | { kind: 'int'; value: bigint }
  | { kind: 'big.Int'; value: bigint }
  | { kind: 'float64'; value: number }
  | { kind: 'string'; value: string };

interface Flags {
  plus: boolean;
  minus: boolean;
  sharp: boolean;
  space: boolean;
  zero: boolean;
  /** %#v of a string: quoted, as in Go's own syntax. */
  goSyntax: boolean;
  width: number | undefined;
  precision: number | undefined;
}

const NO_FLAGS: Flags = {
  plus: false,
  minus: false,
  sharp: false,
  space: false,
  zero: false,
  goSyntax: false,
  width: undefined,
  precision: undefined,
};
const INT64 = 2n ** 63n;
// fmt's own limit (tooLarge): beyond it a width or precision is bad syntax, so no pattern can ask for gigabytes.
const LARGEST_WIDTH = 1_000_000;
// Digits beyond which an integer literal is not worth converting (quadratic); such a value is no policy's number.
const LONGEST_INTEGER = 4096;
// A few characters of a format can ask for megabytes each; such a text is no reason.
const LONGEST_TEXT = 1_048_576;
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/**
 * OPA's sprintf, which is Go's fmt.Sprintf after OPA's own conversion of the arguments. Throws a RangeError for a text
 * of more than 1 MiB.
 */
export function regoSprintf(format: string, values: readonly RegoValue[]): string {
  const args = values.map(toArgument);
  let out = '';
  let at = 0;
  let next = 0;
  let reordered = false;
  while (at < format.length) {
    const percent = format.indexOf('%', at);
    if (percent < 0) break;
    out += format.slice(at, percent);
    at = percent + 1;
    const flags = { ...NO_FLAGS };
    at = readFlags(format, at, flags);
    let goodIndex = true;
    let afterIndex = false;
    const takeIndex = () => {
      if (format[at] !== '[') return;
      reordered = true;
      const close = format.indexOf(']', at);
      const digits = close < 0 ? '' : format.slice(at + 1, close);
      const index = /^\d{1,7}$/.test(digits) ? Number(digits) - 1 : -1;
      at = close < 0 ? at + 1 : close + 1;
      if (index >= 0 && index < args.length) {
        next = index;
        afterIndex = true;
      } else {
        goodIndex = false;
      }
    };
    const takeStar = (): number | undefined => {
      at += 1;
      const arg = args[next];
      if (next < args.length) next += 1;
      afterIndex = false;
      if (arg?.kind !== 'int' || arg.value > LARGEST_WIDTH || arg.value < -LARGEST_WIDTH) return undefined;
      return Number(arg.value);
    };

    takeIndex();
    if (format[at] === '*') {
      flags.width = takeStar();
      if (flags.width === undefined) out += '%!(BADWIDTH)';
      else if (flags.width < 0) {
        flags.width = -flags.width;
        flags.minus = true;
        flags.zero = false;
      }
    } else {
      const number = readNumber(format, at);
      if (afterIndex && number.value !== undefined) goodIndex = false;
      flags.width = number.value;
      at = number.end;
    }
    if (format[at] === '.') {
      at += 1;
      if (afterIndex) goodIndex = false;
      takeIndex();
      if (format[at] === '*') {
        flags.precision = takeStar();
        if (flags.precision !== undefined && flags.precision < 0) flags.precision = undefined;
        if (flags.precision === undefined) out += '%!(BADPREC)';
      } else {
        const number = readNumber(format, at);
        flags.precision = number.value ?? 0;
        at = number.end;
      }
    }
    if (!afterIndex) takeIndex();
    if (at >= format.length) {
      out += '%!(NOVERB)';
      break;
    }
    const verb = String.fromCodePoint(format.codePointAt(at) ?? 0);
    at += verb.length;
    if (verb === '%') {
      out += '%';
      continue;
    }
    const arg = args[next];
    if (!goodIndex) out += `%!${verb}(BADINDEX)`;
    else if (arg === undefined) out += `%!${verb}(MISSING)`;
    else {
      next += 1;
      out += formatArgument(arg, verb, forVerb(arg, verb, flags));
      if (out.length > LONGEST_TEXT) throw new RangeError('sprintf makes too long a text');
    }
  }
  if (at < format.length) out += format.slice(at);
  if (!reordered && next < args.length) {
    out += `%!(EXTRA ${args
      .slice(next)
      .map((arg) => `${typeName(arg)}=${formatArgument(arg, 'v', NO_FLAGS)}`)
      .join(', ')})`;
  }
  return out;
}

// For %v Go gives + and # another meaning, except to a type that formats itself.
function forVerb(arg: Argument, verb: string, flags: Flags): Flags {
  if (verb !== 'v' || arg.kind === 'big.Int') return flags;
  return { ...flags, plus: false, sharp: false, goSyntax: flags.sharp };
}

/** A value as OPA prints it inside a string: `{1, "a"}`, `{"k": [1.50]}`, `set()`. */
export function regoText(value: RegoValue): string {
  switch (value.type) {
    case 'null':
      return 'null';
    case 'boolean':
      return String(value.value);
    case 'number':
      return value.text;
    case 'string':
      return goQuote(value.value);
    case 'array':
      return `[${value.items.map(regoText).join(', ')}]`;
    case 'set':
      return value.items.length === 0 ? 'set()' : `{${sortedItems(value.items).map(regoText).join(', ')}}`;
    case 'object':
      return `{${sortedEntries(value.entries)
        .map(([key, member]) => `${regoText(key)}: ${regoText(member)}`)
        .join(', ')}}`;
  }
}

function toArgument(value: RegoValue): Argument {
  if (value.type === 'string') return { kind: 'string', value: value.value };
  if (value.type !== 'number') return { kind: 'string', value: regoText(value) };
  if (/^-?\d+$/.test(value.text) && value.text.length <= LONGEST_INTEGER) {
    const integer = BigInt(value.text);
    return { kind: integer >= -INT64 && integer < INT64 ? 'int' : 'big.Int', value: integer };
  }
  const float = Number(value.text);
  return Number.isFinite(float) ? { kind: 'float64', value: float } : { kind: 'string', value: value.text };
}

function readFlags(format: string, start: number, flags: Flags): number {
  for (let at = start; ; at += 1) {
    switch (format[at]) {
      case '+':
        flags.plus = true;
        break;
      case '-':
        flags.minus = true;
        flags.zero = false;
        break;
      case '#':
        flags.sharp = true;
        break;
      case ' ':
        flags.space = true;
        break;
      case '0':
        flags.zero = !flags.minus;
        break;
      default:
        return at;
    }
  }
}

function readNumber(format: string, start: number): { value: number | undefined; end: number } {
  let end = start;
  while (end < format.length && format.charCodeAt(end) >= 48 && format.charCodeAt(end) <= 57) end += 1;
  if (end === start) return { value: undefined, end };
  const value = Number(format.slice(start, end));
  return value > LARGEST_WIDTH ? { value: undefined, end: format.length } : { value, end };
}

function typeName(arg: Argument): string {
  return arg.kind === 'big.Int' ? '*big.Int' : arg.kind;
}

function formatArgument(arg: Argument, verb: string, flags: Flags): string {
  if (verb === 'T') return formatString(typeName(arg), 's', flags) ?? '';
  const text =
    arg.kind === 'string'
      ? formatString(arg.value, verb, flags)
      : arg.kind === 'float64'
        ? formatFloat(arg.value, verb, flags)
        : formatInteger(arg.value, verb, flags, arg.kind);
  if (text !== undefined) return text;
  if (arg.kind === 'big.Int') return `%!${verb}(big.Int=${arg.value})`;
  return `%!${verb}(${typeName(arg)}=${formatArgument(arg, 'v', flags)})`;
}

function formatString(value: string, verb: string, flags: Flags): string | undefined {
  const cut = flags.precision === undefined ? value : [...value].slice(0, flags.precision).join('');
  switch (verb) {
    case 'v':
      return pad(flags.goSyntax ? goQuote(cut) : cut, flags);
    case 's':
      return pad(cut, flags);
    case 'q':
      return pad(goQuote(cut, flags.plus, flags.sharp), flags);
    case 'x':
    case 'X':
      return pad(hexText(Buffer.from(value), verb, flags), flags);
    default:
      return undefined;
  }
}

function hexText(bytes: Buffer, verb: 'x' | 'X', flags: Flags): string {
  const shown = flags.precision === undefined ? bytes : bytes.subarray(0, flags.precision);
  if (shown.length === 0) return '';
  const hex = shown.toString('hex');
  const prefix = flags.sharp ? '0x' : '';
  const text = prefix + (flags.space ? (hex.match(/../g) ?? []).join(` ${prefix}`) : hex);
  return verb === 'X' ? text.toUpperCase() : text;
}

function formatInteger(value: bigint, verb: string, flags: Flags, kind: 'int' | 'big.Int'): string | undefined {
  const plain = { ...flags, sharp: false };
  switch (verb) {
    case 'v':
    case 'd':
      return integerText(value, 10, '', flags);
    case 'b':
      return integerText(value, 2, flags.sharp ? '0b' : '', flags);
    case 'o':
      return kind === 'int' ? integerText(value, 8, '', flags) : integerText(value, 8, flags.sharp ? '0' : '', plain);
    case 'O':
      return integerText(value, 8, '0o', kind === 'int' ? flags : plain);
    case 'x':
      return integerText(value, 16, flags.sharp ? '0x' : '', flags);
    case 'X':
      return integerText(value, 16, flags.sharp ? '0X' : '', flags).toUpperCase();
    case 's':
      return kind === 'big.Int' ? integerText(value, 10, '', flags) : undefined;
    case 'c':
      return kind === 'int' ? pad(character(value), flags) : undefined;
    case 'q':
      return kind === 'int' ? pad(quotedCharacter(character(value), flags.plus), flags) : undefined;
    case 'U':
      return kind === 'int' ? unicodeText(value, flags) : undefined;
    default:
      return undefined;
  }
}

function integerText(value: bigint, base: number, prefix: string, flags: Flags): string {
  const sign = value < 0n ? '-' : flags.plus ? '+' : flags.space ? ' ' : '';
  let digits = (value < 0n ? -value : value).toString(base);
  if (flags.precision === 0 && value === 0n) return pad('', { ...flags, zero: false });
  if (flags.precision !== undefined) digits = digits.padStart(flags.precision, '0');
  else if (flags.zero && flags.width !== undefined) digits = digits.padStart(flags.width - sign.length, '0');
  if (base === 8 && flags.sharp && !digits.startsWith('0')) digits = `0${digits}`;
  return pad(sign + prefix + digits, { ...flags, zero: false });
}

function unicodeText(value: bigint, flags: Flags): string {
  const digits = BigInt.asUintN(64, value)
    .toString(16)
    .toUpperCase()
    .padStart(Math.max(4, flags.precision ?? 0), '0');
  const shown = character(value);
  const text = `U+${digits}${flags.sharp && value >= 0n && value <= 0x10ffffn && PRINTABLE.test(shown) ? ` '${shown}'` : ''}`;
  return pad(text, { ...flags, zero: false });
}

function character(value: bigint): string {
  const valid = value >= 0n && value <= 0x10ffffn && !(value >= 0xd800n && value <= 0xdfffn);
  return valid ? String.fromCodePoint(Number(value)) : '\ufffd';
}

function quotedCharacter(text: string, asciiOnly: boolean): string {
  return `'${text === "'" ? "\\'" : text === '"' ? text : escapeRune(text, asciiOnly)}'`;
}

function formatFloat(value: number, verb: string, flags: Flags): string | undefined {
  const form = verb === 'v' ? 'g' : verb === 'F' ? 'f' : verb.toLowerCase();
  const known = 'vbgGxXfFeE'.includes(verb);
  if (!known) return undefined;
  const standard = form === 'e' || form === 'f' ? 6 : -1;
  const raw = formatGoFloat(value, form, flags.precision ?? standard);
  const signed = raw.startsWith('-') ? raw : `+${raw}`;
  let digits = signed.slice(1);
  if (flags.sharp && form !== 'b') digits = keepPoint(digits, verb, form, flags.precision);
  const sign = signed[0] === '-' ? '-' : flags.plus ? '+' : flags.space ? ' ' : '';
  if (flags.zero && flags.width !== undefined) digits = digits.padStart(flags.width - sign.length, '0');
  const text = pad(sign + digits, { ...flags, zero: false });
  return verb === 'G' || verb === 'E' || verb === 'X' ? text.toUpperCase() : text;
}

// The # flag: always a decimal point, and zeros up to the precision except for %e, %f and %X. Go counts the x of %x, too.
function keepPoint(text: string, verb: string, form: string, precision: number | undefined): string {
  const mark = form === 'x' ? 'p' : 'e';
  const [mantissa = '', exponent] = text.split(mark);
  const pointed = mantissa.includes('.') ? mantissa : `${mantissa}.`;
  const tail = exponent === undefined ? '' : mark + exponent;
  if (form === 'e' || form === 'f' || verb === 'X') return pointed + tail;
  const significant = pointed.replace('.', '').replace(/^0+/, '').length;
  return pointed + '0'.repeat(Math.max(0, (precision ?? 6) - significant)) + tail;
}

function pad(text: string, flags: Flags): string {
  const missing = (flags.width ?? 0) - [...text].length;
  if (missing <= 0) return text;
  if (flags.minus) return text + ' '.repeat(missing);
  return (flags.zero ? '0' : ' ').repeat(missing) + text;
}

/** strconv.Quote; with `sharp` a backquoted raw string where that is possible. */
function goQuote(text: string, asciiOnly = false, sharp = false): string {
  if (sharp && !/[`\p{Cc}\ufeff\u007f]/u.test(text.replaceAll('\t', ''))) return `\`${text}\``;
  let out = '';
  for (const rune of text) out += escapeRune(rune, asciiOnly);
  return `"${out}"`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

function escapeRune(rune: string, asciiOnly: boolean): string {
  const known = ESCAPES[rune];
  if (known !== undefined) return known;
  const code = rune.codePointAt(0) ?? 0;
  if (PRINTABLE.test(rune) && !(asciiOnly && code > 0x7e)) return rune;
  if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`;
}
