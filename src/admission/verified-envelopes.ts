import { createHash } from 'node:crypto';

import type { DsseEnvelope } from '../crypto/dsse.ts';
import type { VerificationKey } from '../crypto/verify.ts';
import { checkSignatureAsync } from '../proofs/envelope.ts';
import type { SharedProof } from '../proofs/shared-proof.ts';
import type { VerifyProofSignature } from './checks/signature.ts';

/** About 100 bytes each: a few MiB for as many agents as a replica starts again and again. */
const MAX_ENTRIES = 50_000;

export interface VerifiedEnvelopes {
  readonly verify: VerifyProofSignature;
  /** For an envelope that was signed here with the private half of that key. */
  readonly remember: (envelope: DsseEnvelope, key: VerificationKey) => void;
}

/**
 * Verifies, and remembers by key what was valid: exact envelopes, the least recently used forgotten first, and statements
 * over many agents for as long as they are kept. What failed is never remembered, and what else may have changed
 * (revocation, expiry, policy) is not this function's.
 */
export function createVerifiedEnvelopes(maxEntries: number = MAX_ENTRIES): VerifiedEnvelopes {
  const verifiedBy = new WeakMap<VerificationKey, Map<string, true>>();
  const sharedBy = new WeakMap<VerificationKey, WeakMap<SharedProof, Promise<boolean>>>();

  function keep(name: string, verified: Map<string, true>): void {
    verified.delete(name);
    verified.set(name, true);
    if (verified.size > maxEntries) drop(verified);
  }

  function verifiedWith(key: VerificationKey): Map<string, true> {
    const verified = verifiedBy.get(key) ?? new Map<string, true>();
    verifiedBy.set(key, verified);
    return verified;
  }

  async function verifyEnvelope(envelope: DsseEnvelope, key: VerificationKey): Promise<boolean> {
    const verified = verifiedWith(key);
    const name = digestOf(envelope);
    if (!verified.has(name) && !(await checkSignatureAsync(envelope, key))) return false;
    keep(name, verified);
    return true;
  }

  /** Once for all who ask at the same time: the agents of one statement start together. */
  async function verifyShared(proof: SharedProof, key: VerificationKey): Promise<boolean> {
    const verified = sharedBy.get(key) ?? new WeakMap<SharedProof, Promise<boolean>>();
    sharedBy.set(key, verified);
    const checking = verified.get(proof) ?? checkSignatureAsync(proof.envelope(), key);
    verified.set(proof, checking);
    const valid = await checking;
    if (!valid) verified.delete(proof);
    return valid;
  }

  return {
    verify: (signed, key) => ('statementFor' in signed ? verifyShared(signed, key) : verifyEnvelope(signed, key)),
    remember: (envelope, key) => keep(digestOf(envelope), verifiedWith(key)),
  };
}

/** No two envelopes share it: neither base64 nor the printable type holds a line break. */
function digestOf({ payloadType, payload, signatures }: DsseEnvelope): string {
  const hash = createHash('sha256').update(`${payloadType}\n${payload}`);
  for (const { keyid, sig } of signatures) hash.update(`\n${keyid}\n${sig}`);
  return hash.digest('base64');
}

function drop(verified: Map<string, true>): void {
  const oldest = verified.keys().next();
  if (oldest.done !== true) verified.delete(oldest.value);
}
