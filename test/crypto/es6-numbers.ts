import { createHash } from 'node:crypto';

/** Doubles in a row from the smallest normal one, after the special values. */
const SERIAL_START = 0x0010000000000000n;
const SERIAL_COUNT = 2000;

/**
 * The public ES6 number test sequence: special values, a run of neighbours, then the finite non-zero doubles found in
 * the little-endian words of a SHA-256 chain that starts from 32 zero bytes.
 */
export function* es6Numbers(special: readonly string[]): Generator<number, never> {
  for (const hex of special) yield Buffer.from(hex, 'hex').readDoubleBE();
  const word = Buffer.alloc(8);
  for (let i = 0; i < SERIAL_COUNT; i++) {
    word.writeBigUInt64BE(SERIAL_START + BigInt(i));
    yield word.readDoubleBE();
  }
  for (let block = Buffer.alloc(32); ; ) {
    block = createHash('sha256').update(block).digest();
    for (let at = 0; at < block.length; at += 8) {
      const value = block.readDoubleLE(at);
      if (value !== 0 && Number.isFinite(value)) yield value;
    }
  }
}

/** The bits of a double in hex without leading zeros, as the sequence's lines have them. */
export function doubleHex(value: number, scratch: Buffer): string {
  scratch.writeDoubleBE(value);
  return scratch.toString('hex').replace(/^0+(?=.)/, '');
}
