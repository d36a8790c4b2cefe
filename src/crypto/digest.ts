import { hash } from 'node:crypto';

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** `sha256:` and 64 lower-case hex digits: the one digest form on the wire (contract §1). */
export type Digest = `sha256:${string}`;

/** The 32 bytes of SHA-256. A string is hashed as UTF-8, so it must be well formed. */
export function sha256(data: Uint8Array | string): Buffer {
  return hash('sha256', data, 'buffer');
}

/** SHA-256 as 64 lower-case hex digits. */
export function sha256Hex(data: Uint8Array | string): string {
  return hash('sha256', data, 'hex');
}

/** SHA-256 in the digest form of the wire. */
export function sha256Digest(data: Uint8Array | string): Digest {
  return `sha256:${sha256Hex(data)}`;
}

/** True for a digest written exactly as the contract has it. */
export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST.test(value);
}
