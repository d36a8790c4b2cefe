/** Order of the P-256 group (SEC 2 §2.4.2), and half of it: the largest S of a low-S signature. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const HALF_ORDER = ORDER / 2n;
const SEQUENCE = 0x30;
const INTEGER = 0x02;
const HALF_BYTES = 32;

/** The signature with the lower of its two S, which KMS and OpenSSL do not promise; undefined if it is no strict DER. */
export function toLowS(der: Uint8Array): Buffer | undefined {
  const pair = readDer(der);
  if (pair === undefined) return undefined;
  return writeDer(pair.r, pair.s > HALF_ORDER ? ORDER - pair.s : pair.s);
}

/** True for strict DER of a P-256 signature with low S: the one spelling, so that nobody can respell a signature. */
export function isLowSDer(der: Uint8Array): boolean {
  const pair = readDer(der);
  return pair !== undefined && pair.s <= HALF_ORDER;
}

/** Low-S DER of a signature in the form of IEEE P1363 (r || s), as PKCS #11 gives it; undefined if it is none. */
export function fromP1363(raw: Uint8Array): Buffer | undefined {
  if (raw.length !== 2 * HALF_BYTES) return undefined;
  const [r, s] = [unsigned(raw.subarray(0, HALF_BYTES)), unsigned(raw.subarray(HALF_BYTES))];
  if (r === 0n || s === 0n || r >= ORDER || s >= ORDER) return undefined;
  return writeDer(r, s > HALF_ORDER ? ORDER - s : s);
}

/** r || s of strict DER; undefined if it is none. */
export function toP1363(der: Uint8Array): Buffer | undefined {
  const pair = readDer(der);
  if (pair === undefined) return undefined;
  return Buffer.from([pair.r, pair.s].map((value) => value.toString(16).padStart(2 * HALF_BYTES, '0')).join(''), 'hex');
}

function readDer(der: Uint8Array): { r: bigint; s: bigint } | undefined {
  if (der.length < 8 || der.length > 72 || der[0] !== SEQUENCE || der[1] !== der.length - 2) return undefined;
  const r = readInteger(der, 2);
  if (r === undefined) return undefined;
  const s = readInteger(der, r.end);
  return s === undefined || s.end !== der.length ? undefined : { r: r.value, s: s.value };
}

/** One INTEGER in 1 … order-1, in its shortest form. */
function readInteger(der: Uint8Array, start: number): { value: bigint; end: number } | undefined {
  const length = der[start + 1] ?? 0;
  const end = start + 2 + length;
  if (der[start] !== INTEGER || length < 1 || length > 33 || end > der.length) return undefined;
  const bytes = der.subarray(start + 2, end);
  const [first = 0, second = 0] = bytes;
  if (first >= 0x80) return undefined; // negative
  if (first === 0 && second < 0x80) return undefined; // padded, or zero
  const value = unsigned(bytes);
  return value < ORDER ? { value, end } : undefined;
}

function unsigned(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function writeDer(r: bigint, s: bigint): Buffer {
  const body = Buffer.concat([writeInteger(r), writeInteger(s)]);
  return Buffer.concat([Buffer.from([SEQUENCE, body.length]), body]);
}

function writeInteger(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  const padding = (bytes[0] ?? 0) >= 0x80 ? [0] : [];
  return Buffer.from([INTEGER, bytes.length + padding.length, ...padding, ...bytes]);
}
