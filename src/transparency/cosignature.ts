import { TransparencyError } from './errors.ts';
import { isSize } from './tree-nodes.ts';

const TIMESTAMP_BYTES = 8;

/** What a witness's Ed25519 key signs (C2SP tlog-cosignature): its own header and time before the whole text of the checkpoint. */
export function cosignedMessage(text: string, timestamp: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

/** The time as it stands before the signature. Seconds since 1970; 0 would mean that no time is stated. */
export function encodeTimestamp(timestamp: number): Buffer {
  if (!isSize(timestamp) || timestamp === 0)
    throw new TransparencyError('OUT_OF_RANGE', 'a cosignature states its time');
  const bytes = Buffer.alloc(TIMESTAMP_BYTES);
  bytes.writeBigUInt64BE(BigInt(timestamp));
  return bytes;
}

/** Time and signature of a cosignature's bytes, or nothing when they cannot be one. */
export function splitCosignature(bytes: Uint8Array): { timestamp: number; signature: Uint8Array } | undefined {
  if (bytes.length <= TIMESTAMP_BYTES) return undefined;
  const timestamp = Number(Buffer.from(bytes.subarray(0, TIMESTAMP_BYTES)).readBigUInt64BE());
  if (!isSize(timestamp) || timestamp === 0) return undefined;
  return { timestamp, signature: bytes.subarray(TIMESTAMP_BYTES) };
}
