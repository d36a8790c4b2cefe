import type { VerificationKey } from '../crypto/verify.ts';
import type { Signers } from '../signers/signers.ts';
import type { Trx } from '../storage/database.ts';
import { ManifestError } from './errors.ts';
import type { KernelSigner } from './kernel-entry.ts';
import type { KernelSigners } from './kernel-signers.ts';

/** Who may sign manifests: those of the registry, else those that the Kernel's API names. */
export interface ManifestTrust {
  /** The key of a signer in force. Rejects with ManifestError _UNTRUSTED_SIGNER, _WRONG_PURPOSE, with KernelUnavailable. */
  keyOf(signerId: string, now: number): Promise<VerificationKey>;
  /** In the unit that rests on it: ManifestError when its time is over by now, or whoever lists it has changed its mind. */
  requireStill(trx: Trx, signerId: string, now: number): Promise<void>;
}

export interface ManifestTrustOptions {
  readonly standing: Signers['standing'];
  /** Runs a read of the registry. */
  readonly read: <T>(work: (trx: Trx) => Promise<T>) => Promise<T>;
  /** Undefined: the registry alone counts. */
  readonly kernel: KernelSigners | undefined;
}

export function createManifestTrust({ standing, read, kernel }: ManifestTrustOptions): ManifestTrust {
  /** Undefined for one that the registry does not list. */
  async function registered(trx: Trx, signerId: string, now: number): Promise<VerificationKey | undefined> {
    const found = await standing(trx, signerId, 'manifest', now);
    if (found === undefined) return undefined;
    if (found.purpose !== 'manifest') throw wrongPurpose(signerId, found.purpose);
    if (found.problem !== undefined) throw untrusted(signerId, found.problem);
    return usable(signerId, found.key);
  }

  async function keyOf(signerId: string, now: number): Promise<VerificationKey> {
    // Whatever the registry says of a signer counts: one that was revoked here is not asked for elsewhere.
    const own = await read((trx) => registered(trx, signerId, now));
    return own ?? vouched(signerId, await kernel?.find(signerId), now);
  }

  async function requireStill(trx: Trx, signerId: string, now: number): Promise<void> {
    const own = await registered(trx, signerId, now);
    // Nobody is asked under the lock; what others were told meanwhile counts, and that its time may be over.
    if (own === undefined) vouched(signerId, kernel?.last(signerId), now);
  }

  return { keyOf, requireStill };
}

/** The key of a signer that the Kernel has in force. */
function vouched(signerId: string, found: KernelSigner | undefined, now: number): VerificationKey {
  if (found === undefined) throw untrusted(signerId, 'nobody knows it');
  if (found.purpose !== 'manifest') throw wrongPurpose(signerId, found.purpose);
  if (found.state !== 'active' && found.state !== 'retiring') throw untrusted(signerId, `it is ${found.state}`);
  if (found.notBefore !== undefined && now < found.notBefore) throw untrusted(signerId, 'its time has not come');
  if (found.notAfter !== undefined && now >= found.notAfter) throw untrusted(signerId, 'its time is over');
  return usable(signerId, found.key);
}

/** A secret that two parties share is no evidence for a third: whoever verifies with it could have signed. */
function usable(signerId: string, key: VerificationKey | undefined): VerificationKey {
  if (key === undefined || key.algorithm === 'HMAC-SHA256') throw untrusted(signerId, 'it has no public key');
  return key;
}

function untrusted(signerId: string, why: string): ManifestError {
  return new ManifestError('MANIFEST_UNTRUSTED_SIGNER', `the signer ${signerId} is not trusted: ${why}`);
}

function wrongPurpose(signerId: string, purpose: string): ManifestError {
  return new ManifestError('MANIFEST_WRONG_PURPOSE', `the signer ${signerId} is for ${purpose}, not for manifest`);
}
