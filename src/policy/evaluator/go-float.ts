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
      return precision < 0
        ? plainForm(shortest(Math.abs(value)), Object.is(value, -0) || value < 0)
        : fixedForm(value, precision);
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
  const text = precision < 0 ? value.toExponential() : value.toExponential(Math.min(precision, 100));
  return withTwoDigitExponent(negativeZero(value) + text);
}

function fixedForm(value: number, precision: number): string {
  // toFixed switches to exponent form at 1e21; from there on a double is an integer.
  if (Math.abs(value) < 1e21) return (Object.is(value, -0) ? '-' : '') + value.toFixed(Math.min(precision, 100));
  return BigInt(value).toString() + (precision > 0 ? `.${'0'.repeat(precision)}` : '');
}

function generalForm(value: number, precision: number): string {
  const isShortest = precision < 0;
  const wanted = precision === 0 ? 1 : precision;
  const { digits, point } = isShortest ? shortest(Math.abs(value)) : rounded(Math.abs(value), wanted);
  const exponent = point - 1;
  const threshold = isShortest ? SHORTEST_THRESHOLD : thresholdOf(wanted, digits.length, point);
  const negative = value < 0 || Object.is(value, -0);
  if (exponent >= -4 && exponent < threshold) return plainForm({ digits, point }, negative);
  const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
  return `${negative ? '-' : ''}${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

function thresholdOf(wanted: number, digitCount: number, point: number): number {
  return wanted > digitCount && digitCount >= point ? digitCount : wanted;
}

function plainForm({ digits, point }: Decimal, negative: boolean): string {
  const sign = negative ? '-' : '';
  if (digits === '0') return `${sign}0`;
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  if (point >= digits.length) return `${sign}${digits}${'0'.repeat(point - digits.length)}`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

function hexForm(value: number, precision: number): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
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
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
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
  return fromExponential(value.toExponential());
}

function rounded(value: number, precision: number): Decimal {
  return fromExponential(value.toExponential(Math.min(precision, 101) - 1));
}

function fromExponential(text: string): Decimal {
  const [mantissa = '0', exponent = '0'] = text.split('e');
  const digits = mantissa.replace('.', '').replace(/0+$/, '');
  return digits === '' ? { digits: '0', point: 1 } : { digits, point: Number(exponent) + 1 };
}

function withTwoDigitExponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}

function negativeZero(value: number): string {
  return Object.is(value, -0) ? '-' : '';
}
