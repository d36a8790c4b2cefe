import { CodedError } from '../errors.ts';
import { decodeBase64 } from './base64.ts';

/** 1 MiB: what a request body may hold. */
const MAX_PAYLOAD_BYTES = 1_048_576;
/** More than any rotation needs. */
const MAX_SIGNATURES = 16;
/** RSA-8192, the largest signature a registered key makes. */
const MAX_SIGNATURE_BYTES = 1_024;
const PAYLOAD_TYPE = /^[\x21-\x7e]{1,255}$/;
const KEY_ID = /^[\x21-\x7e]{1,255}$/;

export interface DsseSignature {
  readonly keyid: string;
  /** Canonical base64. */
  readonly sig: string;
}

export interface DsseEnvelope {
  readonly payloadType: string;
  /** Canonical base64. */
  readonly payload: string;
  readonly signatures: readonly DsseSignature[];
}

/** An envelope is not exactly of the DSSE form. */
export class DsseError extends CodedError {
  readonly code = 'MALFORMED';
}

/** DSSE pre-authentication encoding: the bytes a signature is made over, so that type and payload cannot be confused. */
export function pae(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${payload.length} `), payload]);
}

/** An envelope with exactly the members of DSSE, canonical base64 and bounded sizes; else DsseError. Trusts nothing. */
export function parseEnvelope(value: unknown): DsseEnvelope {
  const { payloadType, payload, signatures } = closed(value, ['payloadType', 'payload', 'signatures'], 'the envelope');
  if (typeof payloadType !== 'string' || !PAYLOAD_TYPE.test(payloadType)) {
    throw new DsseError('payloadType is not a printable ASCII string of at most 255 characters');
  }
  if (!Array.isArray(signatures) || signatures.length === 0 || signatures.length > MAX_SIGNATURES) {
    throw new DsseError(`signatures is not a list of 1 to ${MAX_SIGNATURES}`);
  }
  return {
    payloadType,
    payload: base64(payload, MAX_PAYLOAD_BYTES, 'payload'),
    signatures: signatures.map(parseSignature),
  };
}

function parseSignature(value: unknown): DsseSignature {
  const { keyid, sig } = closed(value, ['keyid', 'sig'], 'a signature');
  if (typeof keyid !== 'string' || !KEY_ID.test(keyid)) {
    throw new DsseError('keyid is not a printable ASCII string of at most 255 characters');
  }
  return { keyid, sig: base64(sig, MAX_SIGNATURE_BYTES, 'sig') };
}

function closed(value: unknown, members: readonly string[], what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DsseError(`${what} is no object`);
  const keys = Object.keys(value);
  if (keys.length !== members.length || !members.every((member) => Object.hasOwn(value, member))) {
    throw new DsseError(`${what} must have exactly the members ${members.join(', ')}`);
  }
  return { ...value };
}

function base64(value: unknown, maxBytes: number, what: string): string {
  // The length is checked before anything is decoded.
  if (typeof value !== 'string' || value.length === 0 || value.length > Math.ceil(maxBytes / 3) * 4) {
    throw new DsseError(`${what} is not base64 of 1 to ${maxBytes} bytes`);
  }
  if (decodeBase64(value) === undefined) throw new DsseError(`${what} is not canonical base64`);
  return value;
}
