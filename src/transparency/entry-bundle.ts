import { TransparencyError } from './errors.ts';

/** What a length of two bytes can say; an audit body is never larger. */
export const MAX_ENTRY_BYTES = 65_535;
const LENGTH_BYTES = 2;

/** The entries one after the other, each behind its length in two bytes, big-endian (C2SP tlog-tiles). */
export function encodeBundle(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      if (entry.length > MAX_ENTRY_BYTES)
        throw new TransparencyError('OUT_OF_RANGE', 'an entry has at most 65,535 bytes');
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt16BE(entry.length);
      return [length, entry];
    }),
  );
}

/** Exactly `count` entries, and nothing behind them. Throws MALFORMED. */
export function decodeBundle(bytes: Uint8Array, count: number): Buffer[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: Buffer[] = [];
  let at = 0;
  while (at < buffer.length && entries.length < count) {
    const from = at + LENGTH_BYTES;
    if (from > buffer.length) throw malformed('ends inside a length');
    at = from + buffer.readUInt16BE(at);
    if (at > buffer.length) throw malformed('ends inside an entry');
    entries.push(buffer.subarray(from, at));
  }
  if (entries.length !== count || at !== buffer.length) throw malformed(`does not hold exactly ${count} entries`);
  return entries;
}

function malformed(why: string): TransparencyError {
  return new TransparencyError('MALFORMED', `the entry bundle ${why}`);
}
