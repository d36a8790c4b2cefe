import type { Captured } from './isolation.ts';

/** Bytes of each end that are kept. */
export const KEPT_BYTES = 65_536;

/** Takes the output of one stream, of which it keeps head and tail in little memory. */
export interface Capture {
  readonly bytes: number;
  push(chunk: Buffer): void;
  captured(): Captured;
}

export function createCapture(kept = KEPT_BYTES): Capture {
  const head: Buffer[] = [];
  let headBytes = 0;
  // The last bytes after the head, in a ring that is made when there are any.
  let ring: Buffer | undefined;
  let ringBytes = 0;

  function keepTail(rest: Buffer): void {
    ring ??= Buffer.allocUnsafeSlow(kept);
    const last = rest.subarray(Math.max(0, rest.length - kept));
    const at = (ringBytes + rest.length - last.length) % kept;
    const fits = last.copy(ring, at);
    last.copy(ring, 0, fits);
    ringBytes += rest.length;
  }

  function tail(): Buffer {
    if (ring === undefined) return Buffer.alloc(0);
    if (ringBytes <= kept) return ring.subarray(0, ringBytes);
    const at = ringBytes % kept;
    return Buffer.concat([ring.subarray(at), ring.subarray(0, at)]);
  }

  return {
    get bytes() {
      return headBytes + ringBytes;
    },
    push(chunk) {
      const first = chunk.subarray(0, kept - headBytes);
      if (first.length > 0) {
        head.push(Buffer.from(first));
        headBytes += first.length;
      }
      if (first.length < chunk.length) keepTail(chunk.subarray(first.length));
    },
    captured() {
      const bytes = headBytes + ringBytes;
      if (ringBytes <= kept)
        return { text: Buffer.concat([...head, tail()]).toString('utf8'), bytes, truncated: false };
      const [start, end] = [withoutCutEnd(Buffer.concat(head)), withoutCutStart(tail())];
      const omitted = bytes - start.length - end.length;
      const text = `${start.toString('utf8')}\n[... ${omitted} bytes left out ...]\n${end.toString('utf8')}`;
      return { text, bytes, truncated: true };
    },
  };
}

/** Without a character at the end of which bytes are missing: they are cut, not wrong. */
function withoutCutEnd(bytes: Buffer): Buffer {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (isContinuation(byte)) continue;
    return characterBytes(byte) > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}

function withoutCutStart(bytes: Buffer): Buffer {
  let start = 0;
  while (start < Math.min(3, bytes.length) && isContinuation(bytes[start] ?? 0)) start += 1;
  return bytes.subarray(start);
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** As its first byte says (RFC 3629 §3). */
function characterBytes(first: number): number {
  if (first >= 0xf0) return 4;
  if (first >= 0xe0) return 3;
  return first >= 0xc0 ? 2 : 1;
}
