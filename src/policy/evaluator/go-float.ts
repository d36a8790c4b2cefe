/** Digits and decimal exponent of the shortest text that reads back as `value`: 0.d1d2… × 10^point. */
interface Decimal {
  digits: string;
  point: number;
}

// strconv takes the exponent form from 10^6 on where no precision is given.
const SHORTEST_THRESHOLD = 6;

/** Formats like Go's strconv.FormatFloat(value, verb, precision, 64); precision -1 = shortest that round-trips. */
export function formatGoFloat(value: number, verb: string, precision: number): string {
  switch (verb) {
    case 'e':
      return exponentForm(value, precision);
    case 'f':
      return precision < 0 ? signOf(value) + plainForm(shortest(Math.abs(value))) : fixedForm(value, precision);
    case 'g':
      return generalForm(value, precision);
    case 'x':
      return hexForm(value, precision);
    case 'b':
      return binaryForm(value);
    default:
      throw new RangeError(`no such float verb: ${verb}`);
  }
}

function exponentForm(value: number, precision: number): string {
  const { digits, point } = precision < 0 ? shortest(Math.abs(value)) : rounded(Math.abs(value), precision + 1);
  const padded = precision < 0 ? digits : digits.padEnd(precision + 1, '0');
  const mantissa = padded.length > 1 ? `${padded[0]}.${padded.slice(1)}` : padded;
  return signOf(value) + mantissa + exponentText(point - 1);
}

function fixedForm(value: number, precision: number): string {
  const { integer, fraction } = exactDecimal(Math.abs(value));
  const dropped = fraction.slice(precision);
  let scaled = BigInt(integer + fraction.slice(0, precision).padEnd(precision, '0'));
  if (roundsUp(dropped, scaled % 2n === 1n)) scaled += 1n;
  const text = scaled.toString().padStart(precision + 1, '0');
  const whole = text.slice(0, text.length - precision);
  return `${signOf(value)}${whole}${precision > 0 ? `.${text.slice(-precision)}` : ''}`;
}

function generalForm(value: number, precision: number): string {
  const isShortest = precision < 0;
  const wanted = precision === 0 ? 1 : precision;
  const { digits, point } = isShortest ? shortest(Math.abs(value)) : rounded(Math.abs(value), wanted);
  const exponent = point - 1;
  const threshold = isShortest ? SHORTEST_THRESHOLD : thresholdOf(wanted, digits.length, point);
  if (exponent >= -4 && exponent < threshold) return signOf(value) + plainForm({ digits, point });
  const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
  return signOf(value) + mantissa + exponentText(exponent);
}

function thresholdOf(wanted: number, digitCount: number, point: number): number {
  return wanted > digitCount && digitCount >= point ? digitCount : wanted;
}

function plainForm({ digits, point }: Decimal): string {
  if (point <= 0) return `0.${'0'.repeat(-point)}${digits}`;
  if (point >= digits.length) return digits + '0'.repeat(point - digits.length);
  return `${digits.slice(0, point)}.${digits.slice(point)}`;
}

function hexForm(value: number, precision: number): string {
  const sign = signOf(value);
  if (value === 0) return `${sign}0x0${precision > 0 ? `.${'0'.repeat(precision)}` : ''}p+00`;
  const { mantissa, exponent } = binaryParts(value);
  let shifted = mantissa;
  let binaryExponent = exponent + 52;
  while (shifted < 1n << 52n) {
    shifted <<= 1n;
    binaryExponent -= 1;
  }
  if (precision >= 0 && precision < 13) {
    const drop = BigInt(52 - 4 * precision);
    const half = 1n << (drop - 1n);
    const rest = shifted & ((1n << drop) - 1n);
    shifted >>= drop;
    if (rest > half || (rest === half && (shifted & 1n) === 1n)) shifted += 1n;
    shifted <<= drop;
    if (shifted >= 1n << 53n) {
      shifted >>= 1n;
      binaryExponent += 1;
    }
  }
  let fraction = (shifted & ((1n << 52n) - 1n)).toString(16).padStart(13, '0');
  fraction = precision < 0 ? fraction.replace(/0+$/, '') : fraction.slice(0, precision).padEnd(precision, '0');
  const power = `${binaryExponent < 0 ? '-' : '+'}${String(Math.abs(binaryExponent)).padStart(2, '0')}`;
  return `${sign}0x1${fraction === '' ? '' : `.${fraction}`}p${power}`;
}

function binaryForm(value: number): string {
  const { mantissa, exponent } = binaryParts(value);
  const sign = signOf(value);
  return `${sign}${mantissa}p${exponent < 0 ? '-' : '+'}${Math.abs(exponent)}`;
}

function binaryParts(value: number): { mantissa: bigint; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & ((1n << 52n) - 1n);
  return biased === 0
    ? { mantissa: fraction, exponent: -1074 }
    : { mantissa: fraction | (1n << 52n), exponent: biased - 1075 };
}

function shortest(value: number): Decimal {
  const [mantissa = '0', exponent = '0'] = value.toExponential().split('e');
  return trimmed(mantissa.replace('.', ''), Number(exponent) + 1);
}

/** At most `count` digits, the last one rounded half to even from the exact value, as strconv does. */
function rounded(value: number, count: number): Decimal {
  const { integer, fraction } = exactDecimal(value);
  const all = integer + fraction;
  const leading = /^0*/.exec(all)?.[0].length ?? 0;
  const significant = all.slice(leading);
  const point = integer.length - leading;
  if (significant.length <= count) return trimmed(significant, point);
  const kept = significant.slice(0, count);
  const isOdd = '13579'.includes(kept.at(-1) ?? '');
  if (!roundsUp(significant.slice(count), isOdd)) return trimmed(kept, point);
  const next = (BigInt(kept) + 1n).toString();
  return trimmed(next, point + next.length - count);
}

function roundsUp(dropped: string, isOdd: boolean): boolean {
  const first = dropped[0] ?? '0';
  const isTie = first === '5' && /^50*$/.test(dropped);
  return isTie ? isOdd : first >= '5';
}

/** Every digit of a double: at most 309 before the point and 1074 after it. */
function exactDecimal(value: number): { integer: string; fraction: string } {
  const { mantissa, exponent } = binaryParts(value);
  if (exponent >= 0) return { integer: (mantissa << BigInt(exponent)).toString(), fraction: '' };
  const places = -exponent;
  const text = (mantissa * 5n ** BigInt(places)).toString().padStart(places + 1, '0');
  return { integer: text.slice(0, -places), fraction: text.slice(-places) };
}

function trimmed(text: string, point: number): Decimal {
  const digits = text.replace(/0+$/, '');
  return digits === '' ? { digits: '0', point: 1 } : { digits, point };
}

function exponentText(exponent: number): string {
  return `e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

function signOf(value: number): string {
  return value < 0 || Object.is(value, -0) ? '-' : '';
}
