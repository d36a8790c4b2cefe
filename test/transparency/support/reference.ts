import { createHash } from 'node:crypto';

/** RFC 6962 §2.1 as it is written: recursive, slow, and by nobody who wrote src. */
export function mth(entries: readonly Uint8Array[]): Buffer {
  const [first] = entries;
  if (first === undefined) return createHash('sha256').digest();
  if (entries.length === 1) return createHash('sha256').update('\x00').update(first).digest();
  const k = split(entries.length);
  return createHash('sha256')
    .update('\x01')
    .update(mth(entries.slice(0, k)))
    .update(mth(entries.slice(k)))
    .digest();
}

/** PATH(m, D[n]) of §2.1.1. */
export function path(m: number, entries: readonly Uint8Array[]): Buffer[] {
  if (entries.length <= 1) return [];
  const k = split(entries.length);
  if (m < k) return [...path(m, entries.slice(0, k)), mth(entries.slice(k))];
  return [...path(m - k, entries.slice(k)), mth(entries.slice(0, k))];
}

/** PROOF(m, D[n]) of §2.1.2, which is SUBPROOF(m, D[n], true). */
export function proof(m: number, entries: readonly Uint8Array[], whole = true): Buffer[] {
  if (m === entries.length) return whole ? [] : [mth(entries)];
  const k = split(entries.length);
  if (m <= k) return [...proof(m, entries.slice(0, k), whole), mth(entries.slice(k))];
  return [...proof(m - k, entries.slice(k), false), mth(entries.slice(0, k))];
}

export function entriesOf(count: number, salt = 0): Buffer[] {
  return Array.from({ length: count }, (_, i) => Buffer.from(`entry ${i} of ${salt}`));
}

/** One bit of one byte turned. */
export function flipped(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = Math.floor(bit / 8) % copy.length;
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << (bit % 8)), at);
  return copy;
}

function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
