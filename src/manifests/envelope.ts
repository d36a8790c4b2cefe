import { TypeCompiler } from '@sinclair/typebox/compiler';

import { decodeBase64 } from '../crypto/base64.ts';
import { CanonicalJsonError, canonicalBytes } from '../crypto/canonical-json.ts';
import { isDigest } from '../crypto/digest.ts';
import type { FieldError } from '../http/problem.ts';
import { isUuid } from '../ids.ts';
import { ManifestError } from './errors.ts';
import { type Envelope, EnvelopeSchema, SIGNER_ID } from './schema.ts';

/** Bytes of the whole envelope as JSON without white space. */
const MAX_BYTES = 65_536;
const MAX_REPORTED_ERRORS = 32;
const MAX_POINTER = 512;
const SIGNER = new RegExp(SIGNER_ID);

const checker = TypeCompiler.Compile(EnvelopeSchema);

/** An envelope in its one form, with what it says in the form that is compared. Trusts nothing. */
export interface ReadEnvelope extends Envelope {
  /** The RFC 8785 bytes of `manifest`, which are hashed and signed. */
  readonly bytes: Buffer;
  readonly signature: Buffer;
  /** Ms since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** What of a manifest may stand in the audit: names and digests that have the form of such, and nothing else. */
export interface NamedManifest {
  readonly manifestId?: string;
  readonly manifestHash?: string;
  readonly signerId?: string;
}

/** The value as an envelope; ManifestError MANIFEST_TOO_LARGE, or MANIFEST_MALFORMED with pointers below `pointer`. */
export function readEnvelope(value: unknown, pointer = '/manifest'): ReadEnvelope {
  const size = sizeOf(value);
  if (size > MAX_BYTES) {
    throw new ManifestError('MANIFEST_TOO_LARGE', `the manifest has ${size} bytes, more than ${MAX_BYTES}`);
  }
  if (!checker.Check(value)) throw malformed(schemaErrors(value, pointer));
  const { manifest, manifestSignature } = value;
  const signature = decodeBase64(manifestSignature);
  if (signature === undefined) {
    throw malformed([{ pointer: `${pointer}/manifestSignature`, detail: 'is not canonical base64' }]);
  }
  const bytes = bytesOf(manifest, `${pointer}/manifest`);
  const issuedAt = timeOf(manifest.issuedAt, `${pointer}/manifest/issuedAt`);
  const expiresAt = timeOf(manifest.expiresAt, `${pointer}/manifest/expiresAt`);
  return { ...value, bytes, signature, issuedAt, expiresAt };
}

/** The names in whatever was presented. */
export function namesIn(presented: unknown): NamedManifest {
  const manifest = memberOf(presented, 'manifest');
  const manifestId = memberOf(manifest, 'manifestId');
  const manifestHash = memberOf(presented, 'manifestHash');
  const signerId = memberOf(presented, 'manifestSignatureId');
  return {
    ...(typeof manifestId === 'string' && isUuid(manifestId) ? { manifestId } : {}),
    ...(isDigest(manifestHash) ? { manifestHash } : {}),
    ...(typeof signerId === 'string' && SIGNER.test(signerId) ? { signerId } : {}),
  };
}

/** MANIFEST_MALFORMED with what is wrong where. */
export function malformed(errors: readonly FieldError[]): ManifestError {
  return new ManifestError('MANIFEST_MALFORMED', 'The manifest does not match its schema.', errors);
}

function sizeOf(value: unknown): number {
  // A body has no other values than JSON's; what has no JSON form is none of ours either.
  return Buffer.byteLength(JSON.stringify(value) ?? '');
}

function bytesOf(manifest: Envelope['manifest'], pointer: string): Buffer {
  try {
    return canonicalBytes(manifest);
  } catch (error) {
    if (error instanceof CanonicalJsonError) throw malformed([{ pointer, detail: error.message }]);
    throw error;
  }
}

/** The pattern lets the 31st of February pass. */
function timeOf(text: string, pointer: string): number {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()) || time.toISOString() !== text) {
    throw malformed([{ pointer, detail: 'is no moment of the calendar' }]);
  }
  return time.getTime();
}

function schemaErrors(value: unknown, pointer: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const error of checker.Errors(value)) {
    errors.push({ pointer: `${pointer}${error.path.slice(0, MAX_POINTER)}`, detail: error.message });
    if (errors.length === MAX_REPORTED_ERRORS) break;
  }
  return errors;
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}
