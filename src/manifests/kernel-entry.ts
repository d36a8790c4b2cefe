import { Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';

import { KeyError, type VerificationKey, verificationKey } from '../crypto/verify.ts';
import { parseStrictJson, StrictJsonError } from '../http/strict-json.ts';
import { KernelUnavailable } from './errors.ts';

/** RFC 3339 in UTC, which is all that Date must make of it. */
const time = Type.Optional(
  Type.Union([Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?Z$' }), Type.Null()]),
);

/** An entry of a registry, as GET /v1/signers has it; open, for the Kernel may say more. */
const checker = TypeCompiler.Compile(
  Type.Object({
    signerId: Type.String(),
    alg: Type.Union([
      Type.Literal('HMAC-SHA256'),
      Type.Literal('Ed25519'),
      Type.Literal('ECDSA-P256-SHA256'),
      Type.Literal('RSA-PSS-SHA256'),
    ]),
    publicKey: Type.Union([Type.String({ maxLength: 4096 }), Type.Null()]),
    purpose: Type.String({ maxLength: 64, pattern: '^[A-Za-z0-9._-]+$' }),
    state: Type.String({ maxLength: 64, pattern: '^[A-Za-z0-9._-]+$' }),
    notBefore: time,
    notAfter: time,
  }),
);

/** A signer as the Kernel's API has it; times in ms since the epoch. */
export interface KernelSigner {
  readonly purpose: string;
  readonly state: string;
  /** Undefined for a shared secret, and for a key that does not fit its algorithm. */
  readonly key: VerificationKey | undefined;
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** KernelUnavailable unless the answer is an entry, and that of the signer asked for. */
export function readKernelSigner(body: Buffer, signerId: string): KernelSigner {
  const entry = parse(body);
  if (!checker.Check(entry)) throw new KernelUnavailable("the Kernel's answer is no entry of a registry");
  if (entry.signerId !== signerId) throw new KernelUnavailable("the Kernel's answer is about another signer");
  const { alg, publicKey, purpose, state, notBefore, notAfter } = entry;
  return {
    purpose,
    state,
    key: publicKey === null || alg === 'HMAC-SHA256' ? undefined : parseKey(alg, publicKey),
    ...(notBefore ? { notBefore: timeOf(notBefore) } : {}),
    ...(notAfter ? { notAfter: timeOf(notAfter) } : {}),
  };
}

function parse(body: Buffer): unknown {
  try {
    return parseStrictJson(body);
  } catch (error) {
    if (error instanceof StrictJsonError) throw new KernelUnavailable("the Kernel's answer is not acceptable JSON");
    throw error;
  }
}

function parseKey(alg: VerificationKey['algorithm'], pem: string): VerificationKey | undefined {
  try {
    return verificationKey(alg, pem);
  } catch (error) {
    if (error instanceof KeyError) return undefined;
    throw error;
  }
}

function timeOf(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new KernelUnavailable("the Kernel's answer has a time that is none");
  return time;
}
